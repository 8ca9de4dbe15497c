class NearestEntries:
    def __init__(self, p, s):
        pass

    def label(self, p, l):
        return 0.0
