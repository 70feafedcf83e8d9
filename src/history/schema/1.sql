-- Version 1 of the history. Instants are RFC 3339 text; lists and reports are JSON.

CREATE TABLE runs (
    run TEXT PRIMARY KEY,            -- sorts by time
    pipeline TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,                      -- null while it runs, and if it was broken off
    kind TEXT NOT NULL,              -- full, increment
    slot TEXT,                       -- of the schedule
    outcome TEXT NOT NULL,           -- running, broken off, committed, unchanged, rejected, failed
    message TEXT,                    -- why it failed
    report TEXT                      -- what it did; the views below take it apart
);
CREATE INDEX runs_of_pipeline ON runs (pipeline);

CREATE TABLE synchronised (
    pipeline TEXT PRIMARY KEY,
    request TEXT NOT NULL,           -- what was asked; another request begins anew
    since TEXT NOT NULL,             -- _since of the next export, before overlap
    transaction_number INTEGER NOT NULL, -- of the Delta transactions that every table of the pipeline has
    tables TEXT NOT NULL,            -- JSON list of names
    run TEXT NOT NULL
);

-- The groups whose members are followed, each as of a run. A group may have no member.
CREATE TABLE rosters (
    pipeline TEXT PRIMARY KEY,
    run TEXT NOT NULL
);

CREATE TABLE members (
    pipeline TEXT NOT NULL,
    member TEXT NOT NULL,            -- id of a Patient
    PRIMARY KEY (pipeline, member)
) WITHOUT ROWID;

CREATE TABLE slots (
    pipeline TEXT NOT NULL,
    slot TEXT NOT NULL,
    PRIMARY KEY (pipeline, slot)
) WITHOUT ROWID;

-- What runs did to tables.
CREATE VIEW run_tables AS
SELECT runs.run, runs.pipeline, runs.started, runs.outcome,
       of.value ->> 'table' AS table_name,
       of.value ->> 'version' AS version,
       of.value ->> 'resource' AS resource,
       of.value ->> 'resources' AS resources,
       of.value ->> 'with_rows' AS with_rows,
       of.value ->> 'without_rows' AS without_rows,
       of.value ->> 'failed' AS failed,
       of.value ->> 'rows' AS rows,
       of.value ->> 'bytes' AS bytes
FROM runs, json_each(runs.report, '$.tables') AS of;

-- Values that did not fit the type of their column.
CREATE VIEW cast_failures AS
SELECT runs.run, runs.pipeline, of.value ->> 'table' AS table_name,
       failure.key AS column_name, failure.value AS failures
FROM runs, json_each(runs.report, '$.tables') AS of,
     json_each(of.value, '$.cast_failures') AS failure;

-- References that gave no key.
CREATE VIEW unresolved_references AS
SELECT runs.run, runs.pipeline, of.value ->> 'table' AS table_name,
       place.value ->> 'column' AS column_name, place.value ->> 'path' AS path,
       reason.key AS reason, reason.value AS unresolved
FROM runs, json_each(runs.report, '$.tables') AS of,
     json_each(of.value, '$.unresolved_references') AS place,
     json_each(place.value, '$.reasons') AS reason;

-- Lines that could not be used.
CREATE VIEW rejects_by_reason AS
SELECT runs.run, runs.pipeline, reason.key AS reason, reason.value AS rejects
FROM runs, json_each(runs.report, '$.rejects') AS reason;

-- How long it took.
CREATE VIEW stages AS
SELECT runs.run, runs.pipeline, stage.value ->> 'name' AS stage,
       stage.value ->> 'seconds' AS seconds, stage.value ->> 'mb_per_second' AS mb_per_second
FROM runs, json_each(runs.report, '$.stages') AS stage;

-- The files that were read: lineage from a run to its input.
CREATE VIEW run_files AS
SELECT runs.run, runs.pipeline, of.value ->> 'file' AS file,
       of.value ->> 'lines' AS lines, of.value ->> 'rejected_lines' AS rejected_lines
FROM runs, json_each(runs.report, '$.files') AS of;

-- What is well to know.
CREATE VIEW warnings AS
SELECT runs.run, runs.pipeline, warning.value AS warning
FROM runs, json_each(runs.report, '$.warnings') AS warning;
