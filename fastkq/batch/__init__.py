"""Many images on one machine: plan, share out, report, resume."""
