-- Statements of a made-up service, for tests of the database itself.

-- name: insert_thing
-- A new thing.
INSERT INTO sample_things (key, number, body, made) VALUES (:key, :number, :body, :made);

-- name: get_thing
-- A thing by its key.
SELECT * FROM sample_things WHERE key = :key

-- name: count_up
-- One more for a thing.
UPDATE sample_things SET number = number + 1 WHERE key = :key

-- name: set_number
-- Another number for a thing.
UPDATE sample_things SET number = :number WHERE key = :key

-- name: list_things
-- Things in order of their keys, so many at most.
SELECT key, number FROM sample_things ORDER BY key LIMIT :count

-- name: count_things
-- How many things there are.
SELECT COUNT(*) FROM sample_things

-- name: sum_numbers
-- The sum of all numbers.
SELECT SUM(number) FROM sample_things

-- name: add_line
-- A line for the log; its id.
INSERT INTO sample_log (line) VALUES (:line) RETURNING id

-- name: slow_count
-- A statement that takes a while.
SELECT 1
