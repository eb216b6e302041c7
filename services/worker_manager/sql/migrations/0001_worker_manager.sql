-- A pool of workers.
--   previous_provider_ids  providers that may still have machines for it, as JSON
--   config                 as it was given, as JSON text
CREATE TABLE worker_manager_pools (
  worker_pool_id TEXT PRIMARY KEY,
  provider_id TEXT NOT NULL,
  previous_provider_ids TEXT NOT NULL,
  owner TEXT NOT NULL,
  email_on_error INTEGER NOT NULL,
  created INTEGER NOT NULL,
  last_modified INTEGER NOT NULL,
  description TEXT NOT NULL,
  config TEXT NOT NULL
);
CREATE INDEX worker_manager_pools_provider ON worker_manager_pools (provider_id, worker_pool_id);

-- One way of launching a pool's machines: an element of `config.launchConfigs`, under an id of its own. One that is no
-- longer in the pool's configuration is archived, and stays for as long as a worker was launched by it.
CREATE TABLE worker_manager_launch_configs (
  worker_pool_id TEXT NOT NULL,
  launch_config_id TEXT NOT NULL,
  archived INTEGER NOT NULL,
  created INTEGER NOT NULL,
  last_modified INTEGER NOT NULL,
  configuration TEXT NOT NULL,
  PRIMARY KEY (worker_pool_id, launch_config_id)
);
CREATE INDEX worker_manager_launch_configs_archived ON worker_manager_launch_configs (worker_pool_id, launch_config_id) WHERE archived = 1;

-- A worker that was asked for, or made by hand.
--   terminate_after           when its machine is removed unless it registers (again)
--   reregistration_timeout    ms for which its credentials hold
--   queue_inactivity_timeout  ms without asking for work after which its machine is removed
--   secret                    SHA-256 of the secret with which it registers again; none before it has registered
--   static_secret             sealed; with which a static worker proves who it is
--   terminate, reason         whether it is still needed, as the scanner last decided
--   provider_data             what its provider keeps of it, as JSON
--   worker_config             what it gets when it registers, as JSON; none for that of its pool
CREATE TABLE worker_manager_workers (
  worker_pool_id TEXT NOT NULL,
  worker_group TEXT NOT NULL,
  worker_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  launch_config_id TEXT,
  state TEXT NOT NULL,
  capacity INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  last_modified INTEGER NOT NULL,
  last_checked INTEGER NOT NULL,
  registered INTEGER,
  terminate_after INTEGER,
  reregistration_timeout INTEGER,
  queue_inactivity_timeout INTEGER,
  terminate INTEGER,
  reason TEXT,
  secret BLOB,
  static_secret BLOB,
  provider_data TEXT NOT NULL,
  worker_config TEXT,
  PRIMARY KEY (worker_pool_id, worker_group, worker_id)
);
CREATE INDEX worker_manager_workers_created ON worker_manager_workers (worker_pool_id, created, worker_group, worker_id);
CREATE INDEX worker_manager_workers_numbers ON worker_manager_workers (worker_pool_id, launch_config_id, state, capacity);
CREATE INDEX worker_manager_workers_live ON worker_manager_workers (worker_pool_id, worker_group, worker_id) WHERE state <> 'stopped';
CREATE INDEX worker_manager_workers_looked_after ON worker_manager_workers (worker_pool_id, worker_group, worker_id)
  WHERE state <> 'stopped' AND terminate_after IS NOT NULL;
CREATE INDEX worker_manager_workers_machine ON worker_manager_workers (worker_id, worker_group);
CREATE INDEX worker_manager_workers_expires ON worker_manager_workers (expires, worker_pool_id, worker_group, worker_id);

-- Something that was wrong with a pool.
--   digest              of what it says, so that the same error is told by mail once
--   mail_at, mail_tries  when the mail to the owner is tried next, and how often it was; none when there is none to send
CREATE TABLE worker_manager_errors (
  worker_pool_id TEXT NOT NULL,
  error_id TEXT NOT NULL,
  reported INTEGER NOT NULL,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  code TEXT NOT NULL,
  launch_config_id TEXT,
  digest TEXT NOT NULL,
  mail_at INTEGER,
  mail_tries INTEGER NOT NULL,
  description TEXT NOT NULL,
  extra TEXT NOT NULL,
  PRIMARY KEY (worker_pool_id, error_id)
);
CREATE INDEX worker_manager_errors_pool ON worker_manager_errors (worker_pool_id, reported, error_id);
CREATE INDEX worker_manager_errors_reported ON worker_manager_errors (reported);
CREATE INDEX worker_manager_errors_digest ON worker_manager_errors (worker_pool_id, digest, reported);
CREATE INDEX worker_manager_errors_mail ON worker_manager_errors (mail_at) WHERE mail_at IS NOT NULL;

-- Machines that a provider is being asked for: written before it is asked, removed with the writing of its answer, so
-- that a crash in between neither loses machines nor asks for them twice.
CREATE TABLE worker_manager_orders (
  token TEXT PRIMARY KEY,
  worker_pool_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  launch_config_id TEXT NOT NULL,
  machines INTEGER NOT NULL,
  capacity INTEGER NOT NULL,
  created INTEGER NOT NULL
);
CREATE INDEX worker_manager_orders_pool ON worker_manager_orders (worker_pool_id, created);

-- Who does some work, among several processes, and until when nobody else may.
CREATE TABLE worker_manager_leases (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  until INTEGER NOT NULL
);
CREATE INDEX worker_manager_leases_until ON worker_manager_leases (until);
