-- The clock that gives messages their time.
SELECT im_clock()
