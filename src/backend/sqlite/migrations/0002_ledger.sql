-- Runs of jobs: what was due when, when it ran and how it ended. Times are milliseconds since 1970;
-- finished 0: still running, or the process died.

CREATE TABLE job_runs (
    id        INTEGER PRIMARY KEY,
    job       TEXT NOT NULL,
    scheduled INTEGER NOT NULL,
    started   INTEGER NOT NULL,
    finished  INTEGER NOT NULL DEFAULT 0,
    outcome   TEXT NOT NULL DEFAULT 'running',
    detail    TEXT NOT NULL DEFAULT ''
);

CREATE INDEX job_runs_job ON job_runs(job, id);
