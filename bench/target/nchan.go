package target

import "path/filepath"

// nchan is nginx with Debian's module, unpacked into dir: as many workers as threads, in the foreground, everything it writes in
// {dir}. A message is kept for late subscribers only as long as nchan wants for its own delivery.
func nchan(dir string) Target {
	program, module := filepath.Join(dir, "nchan", "nginx"), filepath.Join(dir, "nchan", "nchan.so")
	return Target{
		Name:    "nchan",
		Start:   unlimited(program, "-p", "{dir}", "-c", "{dir}/nginx.conf", "-e", "stderr"),
		Files:   map[string]string{"{dir}/nginx.conf": nchanSettings(module)},
		Ready:   "/healthz",
		Path:    "/ws/{topic}",
		Publish: Request{Method: "POST", Path: "/publish/{topic}", Header: map[string]string{"Content-Type": "text/plain"}, Body: "{payload}"},
		Missing: missing(module),
	}
}

// nchanSettings has absolute paths where nginx knows no other. Its array of connections is made at the start: 100,000 a worker.
func nchanSettings(module string) string {
	if absolute, err := filepath.Abs(module); err == nil {
		module = absolute
	}
	return `load_module ` + module + `;
daemon off;
user root;
worker_processes {threads};
pid nginx.pid;
error_log stderr error;
events { worker_connections 100000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  nchan_shared_memory_size 256M;
  server {
    listen {port} reuseport backlog=65535;
    location = /healthz { return 200; }
    location ~ ^/ws/(.+)$ {
      nchan_subscriber websocket;
      nchan_channel_id $1;
      nchan_websocket_ping_interval 0;
      nchan_subscriber_timeout 0;
      nchan_subscriber_first_message newest;
    }
    location ~ ^/publish/(.+)$ {
      nchan_publisher http;
      nchan_channel_id $1;
      nchan_message_buffer_length 1000;
      nchan_message_timeout 30s;
    }
  }
}
`
}
