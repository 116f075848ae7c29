-- The clock messages are stamped by.
SELECT im_clock()
