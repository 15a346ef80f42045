import type { ServerName } from './arm.ts';
import { addressOn } from './host.ts';
import { applicationPort, hostsOf, type Topology } from './topology.ts';

/** Where a proxy's server answers whether it is well; only its own host can ask. */
export const serverCheck = { address: '127.0.0.1', port: 8404 } as const;

interface Place {
  readonly vip: string;
  readonly backends: readonly { readonly name: string; readonly address: string }[];
  /** Directory for what the server must write. */
  readonly directory: string;
}

/**
 * Set up for availability, as its configuration manual advises: active checks, three retries, any of them on another
 * back end, connections kept alive on both sides. `maxconn` is what 20,000 file descriptors can carry.
 */
function haproxy({ vip, backends }: Place): string {
  const servers = backends.map(({ name, address }) => `  server ${name} ${address} check`);
  return `global
  user haproxy
  group haproxy
  maxconn 4000
  nbthread 2
  log stderr format raw local0 notice

defaults
  mode http
  # What happens to servers is logged; requests are not.
  log global
  timeout connect 1s
  timeout client 600s
  timeout server 60s
  timeout http-request 30s
  timeout http-keep-alive 600s
  timeout check 500ms
  retries 3
  option redispatch 1
  retry-on all-retryable-errors
  option http-keep-alive
  http-reuse always

frontend site
  bind ${vip}
  default_backend site

backend site
  balance leastconn
  option forwardfor
  option httpchk
  http-check send meth GET uri / ver HTTP/1.1 hdr Host health
  default-server inter 500ms fastinter 100ms fall 2 rise 1 pool-max-conn 1000
${servers.join('\n')}

frontend check
  bind ${serverCheck.address}:${serverCheck.port}
  monitor-uri /
`;
}

/**
 * Set up for availability, as its documentation advises: a request that failed goes to the next back end, POSTs too;
 * connections are kept alive on both sides. (Debian's has no active checks: a back end is found dead by a request.)
 */
function nginx({ vip, backends, directory }: Place): string {
  const servers = backends.map(({ address }) => `    server ${address} max_fails=1 fail_timeout=1s;`);
  return `daemon off;
user www-data;
worker_processes 2;
pid ${directory}/nginx.pid;
error_log stderr warn;
events {
  worker_connections 4000;
}
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/responses;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000;
  client_max_body_size 0;
  upstream site {
    least_conn;
${servers.join('\n')}
    keepalive 100;
    keepalive_requests 1000000;
  }
  server {
    listen ${vip} backlog=4096;
    location / {
      proxy_pass http://site;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_connect_timeout 1s;
      proxy_read_timeout 60s;
      proxy_next_upstream error timeout invalid_header http_502 http_503 http_504 non_idempotent;
      proxy_next_upstream_tries 3;
      # A response that the client takes slowly waits at the back end, not on this disk.
      proxy_max_temp_file_size 0;
    }
  }
  server {
    listen ${serverCheck.address}:${serverCheck.port};
    return 200;
  }
}
`;
}

const written = { haproxy, nginx };

/**
 * The configuration file of the server in the proxies' place.
 * @param directory where it may write; absolute
 */
export function serverConfig(topology: Topology, name: ServerName, directory: string): string {
  const { address, port } = topology.vip;
  return written[name]({
    vip: `${address}:${port}`,
    backends: hostsOf(topology, 'backend').map(host => ({
      name: host.name,
      address: `${addressOn(host, 'back')}:${applicationPort}`,
    })),
    directory,
  });
}
