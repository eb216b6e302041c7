-- name: get_lease
-- Who has a lease, and its last sign of life.
SELECT holder, beat FROM events_leases WHERE name = :name

-- name: take_lease
-- Take a lease that nobody has, or whose holder has given the same last sign of life all the while.
INSERT INTO events_leases (name, holder, beat) VALUES (:name, :holder, 1)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, beat = events_leases.beat + 1
WHERE events_leases.holder = '' OR (events_leases.holder = :seen_holder AND events_leases.beat = :seen_beat)

-- name: beat_lease
-- A sign of life of a lease's holder; changes no row when another has it.
UPDATE events_leases SET beat = beat + 1 WHERE name = :name AND holder = :holder

-- name: release_lease
-- Give a lease back.
UPDATE events_leases SET holder = '' WHERE name = :name AND holder = :holder

-- name: take_turn
-- Take the turn at something, unless it was taken lately, give or take what clocks differ.
INSERT INTO events_leases (name, holder, beat) VALUES (:name, :holder, :now)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, beat = excluded.beat
WHERE events_leases.beat <= :lately OR events_leases.beat > :ahead

-- name: give_back_turn
-- Let another have a turn that came to nothing.
UPDATE events_leases SET beat = 0 WHERE name = :name AND holder = :holder

-- name: begin_position
-- Give a new durable subscriber its first position; one that has a position keeps it.
INSERT INTO events_positions (name, position) VALUES (:name, :position)
ON CONFLICT (name) DO NOTHING

-- name: count_after
-- How many messages follow an id, counted up to a limit, and when the first of them was published.
SELECT count(*) AS waiting, min(created) AS oldest FROM (
  SELECT created FROM events WHERE id > :after ORDER BY id LIMIT :limit
) AS following

-- name: forgotten_queues
-- The queues that are to be deleted on the AMQP server, a limited number.
SELECT name FROM events_queues WHERE forgotten = 1 ORDER BY name LIMIT 1000

-- name: get_queue
-- What a queue on the AMQP server is bound to.
SELECT bound FROM events_queues WHERE name = :name

-- name: save_queue
-- Keep what a queue on the AMQP server is bound to.
INSERT INTO events_queues (name, bound, forgotten) VALUES (:name, :bound, 0)
ON CONFLICT (name) DO UPDATE SET bound = excluded.bound, forgotten = 0

-- name: bind_queue
-- Keep what a queue on the AMQP server is bound to, whether it was forgotten meanwhile or not.
UPDATE events_queues SET bound = :bound WHERE name = :name

-- name: forget_queue
-- Note that a queue is to be deleted on the AMQP server.
UPDATE events_queues SET forgotten = 1 WHERE name = :name

-- name: remove_queue
-- A forgotten queue has been deleted on the AMQP server.
DELETE FROM events_queues WHERE name = :name AND forgotten = 1
