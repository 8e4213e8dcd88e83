-- Where the events of a day lie. own 1: in tables of its own, events_YYYYMMDD, words_ and shapes_; 0: with all days of
-- its year that have few events, in events_YYYY, words_ and shapes_. `events` counts the latter, roughly: a day that has
-- grown gets tables of its own. Every day there is now has them.

ALTER TABLE days ADD COLUMN own INTEGER NOT NULL DEFAULT 1;
ALTER TABLE days ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
