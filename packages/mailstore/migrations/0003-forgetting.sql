-- What is forgotten must be found.

-- One of them is taken back when its password proves right.
alter table login_failures add column id bigint generated always as identity primary key;
create index deliveries_age on deliveries (at);
