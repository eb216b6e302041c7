-- The parts of a hook's definition are JSON text, as they came in. `seed` makes the ids of its tasks, `bound` is the
-- time since which its bindings hold, `mailed` when its owner was last sent an e-mail. The large parts stand last.
CREATE TABLE hooks_hooks (
  hook_group_id TEXT NOT NULL,
  hook_id TEXT NOT NULL,
  seed TEXT NOT NULL,
  next_fire INTEGER,
  bound INTEGER NOT NULL,
  mailed INTEGER NOT NULL,
  token BLOB NOT NULL,
  bindings TEXT NOT NULL,
  schedule TEXT NOT NULL,
  metadata TEXT NOT NULL,
  trigger_schema TEXT NOT NULL,
  task TEXT NOT NULL,
  PRIMARY KEY (hook_group_id, hook_id)
);
CREATE INDEX hooks_hooks_next_fire ON hooks_hooks (next_fire) WHERE next_fire IS NOT NULL;
CREATE INDEX hooks_hooks_bound ON hooks_hooks (hook_group_id, hook_id) WHERE bindings <> '[]';

-- Firings under way: a row is there from the decision to fire until what came of it is recorded. Whoever works on one
-- has it until `due`; after a crash it is taken up again then, under the same task id.
CREATE TABLE hooks_firings (
  hook_group_id TEXT NOT NULL,
  hook_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  fired_by TEXT NOT NULL,
  fired INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  due INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  context TEXT NOT NULL,
  task TEXT NOT NULL,
  PRIMARY KEY (hook_group_id, hook_id, task_id)
);
CREATE INDEX hooks_firings_due ON hooks_firings (due);

CREATE TABLE hooks_last_fires (
  hook_group_id TEXT NOT NULL,
  hook_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  fired_by TEXT NOT NULL,
  fired INTEGER NOT NULL,
  result TEXT NOT NULL,
  error TEXT NOT NULL,
  PRIMARY KEY (hook_group_id, hook_id, task_id)
);
CREATE INDEX hooks_last_fires_latest ON hooks_last_fires (hook_group_id, hook_id, fired, task_id);
CREATE INDEX hooks_last_fires_fired ON hooks_last_fires (fired);
