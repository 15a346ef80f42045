-- Accounts, mailboxes, drafts, and what is on its way.

create table accounts (
  id bigint generated always as identity primary key,
  -- user@domain
  address text not null unique check (address = lower(address) and address ~ '^[^@\s]+@[^@\s]+$'),
  name text not null,
  -- as password.ts writes it; '!' lets nobody in
  password text not null,
  -- counts changes of the password: sessions from before one are over
  password_epoch int not null default 1,
  signature text not null default '',
  page_size int not null default 50 check (page_size between 10 and 200),
  created_at timestamptz not null default now()
);

-- A message's bytes, once for all mailboxes that hold it.
create table contents (
  id bigint generated always as identity primary key,
  raw bytea not null
);
-- Compressing base64 costs more than it saves.
alter table contents alter column raw set storage external;

create table messages (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts on delete cascade,
  folder text not null check (folder in ('inbox', 'sent', 'trash')),
  -- where it is restored to
  former_folder text check (former_folder in ('inbox', 'sent')),
  -- a message of one's own whose delivery is not confirmed yet is 'sending'
  state text not null default 'here' check (state in ('here', 'sending')),
  content_id bigint not null references contents,
  message_id text not null,
  subject text not null,
  -- {"from": [{"name", "address"}], "to": […], "cc": […], "bcc": […], "replyTo": […]}
  addresses jsonb not null,
  snippet text not null,
  size bigint not null,
  attachments int not null,
  seen boolean not null default false,
  -- what its sender should know: recipients that were refused
  problem text not null default '',
  received_at timestamptz not null,
  words tsvector not null
);
create index messages_of_folder on messages (account_id, folder, received_at desc, id desc);
create index messages_unseen on messages (account_id, folder) where not seen;
create index messages_words on messages using gin (words);
create index messages_content on messages (content_id);

-- What was delivered already: keyed by who submitted it too, so that nobody can suppress another's mail.
create table deliveries (
  submitter bigint not null references accounts on delete cascade,
  message_id text not null,
  recipient text not null,
  at timestamptz not null default now(),
  primary key (submitter, message_id, recipient)
);

-- For other domains, until the smarthost has taken it.
create table relays (
  id bigint generated always as identity primary key,
  -- null: a bounce, which is answered with silence
  submitter bigint references accounts on delete cascade,
  sender text not null,
  recipient text not null,
  content_id bigint not null references contents,
  attempts int not null default 0,
  next_at timestamptz not null,
  -- tried until then
  expires_at timestamptz not null,
  last_error text not null default ''
);
create index relays_due on relays (next_at);

create table drafts (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts on delete cascade,
  -- the form's: saving or sending it twice is the same draft
  key uuid not null,
  -- sent and discarded ones stay as tombstones: a late save cannot bring them back
  state text not null default 'open' check (state in ('open', 'sending', 'sent', 'discarded')),
  version int not null default 1,
  recipients text not null default '',
  cc text not null default '',
  bcc text not null default '',
  subject text not null default '',
  body text not null default '',
  in_reply_to text not null default '',
  "references" text not null default '',
  -- why it could not be sent
  problem text not null default '',
  updated_at timestamptz not null,
  unique (account_id, key)
);
create index drafts_open on drafts (account_id, updated_at desc) where state = 'open';

create table draft_files (
  id bigint generated always as identity primary key,
  draft_id bigint not null references drafts on delete cascade,
  name text not null,
  type text not null,
  size bigint not null,
  bytes bytea not null
);
alter table draft_files alter column bytes set storage external;
create index draft_files_of on draft_files (draft_id);

-- Handed to the SMTP server until its answer is known.
create table outgoing (
  message_id bigint primary key references messages on delete cascade,
  draft_id bigint not null references drafts on delete cascade,
  sender text not null,
  recipients text[] not null,
  -- an attempt ended without an answer: it may have been delivered
  in_doubt boolean not null default false,
  attempts int not null default 0,
  next_at timestamptz not null
);
create index outgoing_due on outgoing (next_at);

-- Transactions whose effect has been made, and what came of it: running one again changes nothing.
create table effects (
  transaction_id text not null,
  step text not null,
  outcome jsonb,
  at timestamptz not null default now(),
  primary key (transaction_id, step)
);
create index effects_age on effects (at);

create table login_failures (
  at timestamptz not null,
  source text not null,
  address text not null
);
create index login_failures_recent on login_failures (at);
