-- Who is logged in, for servers that share no other memory.

create table sessions (
  id text primary key,
  -- null: ended; a late write does not begin it again
  content jsonb,
  until timestamptz not null
);
create index sessions_until on sessions (until);
