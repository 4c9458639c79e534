"""nginx, HAProxy, Caddy, Apache and Varnish in front of a scripted server, with the
same ports and paths.

Ports: plain, TLS 1.2 alone, TLS 1.3 alone, TLS with client certificates (Varnish: plain
only).  Paths: ``/forbidden`` 403 with a body, ``/busy`` 503 with Retry-After,
``/moved`` 302 to ``/echo``, ``/basic/..`` wants user and password, ``/dead/..`` goes to
nobody, ``/impatient/..`` is dropped after a second of silence (nginx and HAProxy only),
all others are the scripted server's.  It must not know what is proved with them.
"""

from __future__ import absolute_import, division, unicode_literals

import base64
import hashlib
import os
import subprocess

import pytest
from counterparts import DEBIAN, Counterpart, certificate, free_ports, needs, program

USER, PASSWORD = 'user', 'secret: w\xf6rd'
IS_ROOT = hasattr(os, 'geteuid') and os.geteuid() == 0


def sha_password():
    """A line of htpasswd."""
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode('utf-8')).digest()).decode('ascii')
    return '%s:{SHA}%s\n' % (USER, digest)


def words(**more):
    values = dict(
        ca=needs(certificate('ca.pem')), both=certificate('server.pem'), cert=certificate('server.crt'),
        key=certificate('server.key'), other_cert=certificate('other.crt'),
        other_key=certificate('other.key'), dead=free_ports(1)[0])
    values.update(more)
    return values


# -- nginx

_NGINX = '''
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log stderr;
worker_shutdown_timeout 1s;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type text/plain;
    server {{ listen 127.0.0.1:{ports[0]}; include {folder}/locations; }}
    ssl_certificate {cert};
    ssl_certificate_key {key};
    server {{ listen 127.0.0.1:{ports[1]} ssl; ssl_protocols TLSv1.2; include {folder}/locations; }}
    server {{ listen 127.0.0.1:{ports[2]} ssl; ssl_protocols TLSv1.3; include {folder}/locations; }}
    server {{
        listen 127.0.0.1:{ports[3]} ssl;
        ssl_client_certificate {ca};
        ssl_verify_client on;
        include {folder}/locations;
    }}
    server {{ listen 127.0.0.1:{ports[4]} ssl; server_name localhost; include {folder}/locations; }}
    server {{
        listen 127.0.0.1:{ports[4]} ssl;
        server_name other.localhost;
        ssl_certificate {other_cert};
        ssl_certificate_key {other_key};
        include {folder}/locations;
    }}
    server {{ listen 127.0.0.1:{ports[4]} ssl default_server; ssl_reject_handshake on; }}
}}
'''
_NGINX_LOCATIONS = '''
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
    location /basic/ {{
        auth_basic "a realm";
        auth_basic_user_file {folder}/passwords;
        proxy_pass http://127.0.0.1:{upstream}/;
    }}
    location = /forbidden {{ return 403 "no $ssl_protocol $ssl_server_name"; }}
    location = /busy {{ add_header Retry-After 7 always; return 503 busy; }}
    location = /moved {{ absolute_redirect off; return 302 /echo; }}
    location = /moved-absolutely {{ return 301 $scheme://$http_host/echo; }}
    location = /moved-around {{ return 307 /moved-around; }}
    location = /moved-to-plain {{ return 302 http://127.0.0.1:{ports[0]}/echo; }}
    location /dead/ {{ proxy_pass http://127.0.0.1:{dead}/; }}
    location /impatient/ {{ proxy_read_timeout 1s; proxy_pass http://127.0.0.1:{upstream}/; }}
'''


def nginx(self):
    values = words(folder=self.folder, ports=self.ports, upstream=self.upstream.port,
                   user='user root;' if IS_ROOT else '')
    self.write('passwords', sha_password())
    self.write('locations', _NGINX_LOCATIONS.format(**values))
    return [program('nginx'), '-p', self.folder, '-e', 'stderr', '-c',
            self.write('nginx.conf', _NGINX.format(**values))]


# -- HAProxy

_HAPROXY = '''
global
    log stderr local0 err
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1h
userlist users
    user {name} insecure-password "{password}"
frontend all
    bind 127.0.0.1:{ports[0]}
    bind 127.0.0.1:{ports[1]} ssl crt {both} ssl-min-ver TLSv1.2 ssl-max-ver TLSv1.2
    bind 127.0.0.1:{ports[2]} ssl crt {both} ssl-min-ver TLSv1.3 ssl-max-ver TLSv1.3
    bind 127.0.0.1:{ports[3]} ssl crt {both} ca-file {ca} verify required
    http-request return status 403 content-type text/plain \
        lf-string "no %[ssl_fc_protocol] %[ssl_fc_sni]" if {{ path /forbidden }}
    http-request return status 503 content-type text/plain string busy hdr Retry-After 7 if {{ path /busy }}
    http-request redirect location /echo code 302 if {{ path /moved }}
    http-request auth realm users if {{ path_beg /basic/ }} !{{ http_auth(users) }}
    http-request set-path %[path,regsub(^/basic,)] if {{ path_beg /basic/ }}
    use_backend dead if {{ path_beg /dead/ }}
    use_backend impatient if {{ path_beg /impatient/ }}
    default_backend scripted
backend scripted
    server one 127.0.0.1:{upstream}
backend impatient
    timeout tunnel 1s
    http-request set-path %[path,regsub(^/impatient,)]
    server one 127.0.0.1:{upstream}
backend dead
    server none 127.0.0.1:{dead}
'''


def haproxy(self):
    values = words(ports=self.ports, upstream=self.upstream.port, name=USER, password=PASSWORD)
    return [program('haproxy'), '-db', '-f', self.write('haproxy.cfg', _HAPROXY.format(**values))]


# -- Caddy

_CADDY = '''
{{
    admin off
    auto_https off
    default_sni localhost
    log {{
        level ERROR
    }}
}}
(common) {{
    bind 127.0.0.1
    handle /forbidden {{
        respond "no {{http.request.tls.version}} {{http.request.tls.server_name}}" 403
    }}
    handle /busy {{
        header Retry-After 7
        respond busy 503
    }}
    handle /moved {{
        redir * /echo 302
    }}
    handle_path /basic/* {{
        basicauth {{
            {name} {hash}
        }}
        reverse_proxy 127.0.0.1:{upstream}
    }}
    handle_path /dead/* {{
        reverse_proxy 127.0.0.1:{dead}
    }}
    handle {{
        reverse_proxy 127.0.0.1:{upstream}
    }}
}}
http://:{ports[0]} {{
    import common
}}
https://:{ports[1]} {{
    tls {cert} {key} {{
        protocols tls1.2 tls1.2
    }}
    import common
}}
https://:{ports[2]} {{
    tls {cert} {key} {{
        protocols tls1.3 tls1.3
    }}
    import common
}}
https://:{ports[3]} {{
    tls {cert} {key} {{
        client_auth {{
            mode require_and_verify
            trusted_ca_cert_file {ca}
        }}
    }}
    import common
}}
'''


def caddy(self):
    path = program('caddy')
    hashed = subprocess.check_output([path, 'hash-password', '--plaintext', PASSWORD.encode('utf-8')],
                                     env=self.environ).decode('ascii').strip()
    values = words(ports=self.ports, upstream=self.upstream.port, name=USER, hash=hashed)
    return [path, 'run', '--adapter', 'caddyfile',
            '--config', self.write('Caddyfile', _CADDY.format(**values))]


# -- Apache

_APACHE_MODULES = ('mpm_event authn_core authn_file authz_core authz_user auth_basic auth_digest '
                   'socache_shmcb ssl proxy proxy_http headers alias').split()
_APACHE = '''
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
DefaultRuntimeDir {folder}
Mutex file:{folder}
ErrorLog {folder}/output.txt
LogLevel error
DocumentRoot {folder}
{modules}
{user}
Listen 127.0.0.1:{ports[0]} http
Listen 127.0.0.1:{ports[1]} https
Listen 127.0.0.1:{ports[2]} https
Listen 127.0.0.1:{ports[3]} https
StartServers 1
SSLSessionCache none
<VirtualHost *:{ports[0]}>
    Include {folder}/common
</VirtualHost>
SSLCertificateFile {cert}
SSLCertificateKeyFile {key}
<VirtualHost *:{ports[1]}>
    SSLEngine on
    SSLProtocol -all +TLSv1.2
    Include {folder}/common
</VirtualHost>
<VirtualHost *:{ports[2]}>
    SSLEngine on
    SSLProtocol -all +TLSv1.3
    Include {folder}/common
</VirtualHost>
<VirtualHost *:{ports[3]}>
    SSLEngine on
    SSLVerifyClient require
    SSLCACertificateFile {ca}
    Include {folder}/common
</VirtualHost>
'''
_APACHE_COMMON = '''
Redirect 403 /forbidden
ErrorDocument 403 "no %{{SSL_PROTOCOL}} %{{SSL:SSL_TLS_SNI}}"
Redirect 503 /busy
ErrorDocument 503 "busy"
Header always set Retry-After 7 "expr=%{{REQUEST_URI}} == '/busy'"
Redirect 302 /moved /echo
ProxyPass /forbidden !
ProxyPass /busy !
ProxyPass /moved !
ProxyPass /dead/ http://127.0.0.1:{dead}/ upgrade=websocket
ProxyPass /basic/ http://127.0.0.1:{upstream}/ upgrade=websocket
ProxyPass /digest/ http://127.0.0.1:{upstream}/ upgrade=websocket
ProxyPass / http://127.0.0.1:{upstream}/ upgrade=websocket
<Location /basic/>
    AuthType Basic
    AuthName "a realm"
    AuthUserFile {folder}/passwords
    Require valid-user
</Location>
<Location /digest/>
    AuthType Digest
    AuthName "{realm}"
    AuthDigestDomain /digest/
    AuthUserFile {folder}/digests
    Require valid-user
</Location>
'''
REALM = 'a realm, with a comma'


def apache(self):
    path = program('apache2')
    root = DEBIAN if path.startswith(DEBIAN) else '/'
    modules = '\n'.join('LoadModule {0}_module {1}/mod_{0}.so'.format(
        name, os.path.join(root, 'usr/lib/apache2/modules')) for name in _APACHE_MODULES)
    values = words(folder=self.folder, ports=self.ports, upstream=self.upstream.port, modules=modules,
                   realm=REALM, user='User www-data\nGroup www-data' if IS_ROOT else '')
    self.write('passwords', sha_password())
    digest = hashlib.md5(':'.join((USER, REALM, PASSWORD)).encode('utf-8')).hexdigest()
    self.write('digests', '%s:%s:%s\n' % (USER, REALM, digest))
    self.write('common', _APACHE_COMMON.format(**values))
    return [path, '-D', 'FOREGROUND', '-f', self.write('apache2.conf', _APACHE.format(**values))]


# -- Varnish

_VARNISH = '''
vcl 4.1;
backend scripted {{ .host = "127.0.0.1"; .port = "{upstream}"; }}
backend dead {{ .host = "127.0.0.1"; .port = "{dead}"; }}
sub vcl_recv {{
    set req.backend_hint = scripted;
    if (req.url == "/forbidden") {{ return (synth(403)); }}
    if (req.url == "/busy") {{ return (synth(503)); }}
    if (req.url == "/moved") {{ return (synth(302)); }}
    if (req.url ~ "^/basic/" && req.http.Authorization != "Basic {token}") {{ return (synth(401)); }}
    if (req.url ~ "^/dead/") {{ set req.backend_hint = dead; }}
    set req.url = regsub(req.url, "^/(basic|dead)/", "/");
    if (req.http.Upgrade ~ "(?i)^websocket$") {{ return (pipe); }}
}}
sub vcl_pipe {{
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = "Upgrade";
}}
sub vcl_synth {{
    set resp.http.Content-Type = "text/plain";
    if (resp.status == 403) {{ synthetic("no"); }}
    if (resp.status == 503) {{ set resp.http.Retry-After = "7"; synthetic("busy"); }}
    if (resp.status == 302) {{ set resp.http.Location = "/echo"; synthetic(""); }}
    if (resp.status == 401) {{ set resp.http.WWW-Authenticate = "Basic realm=here"; synthetic("who?"); }}
    return (deliver);
}}
'''


def varnish(self):
    token = base64.b64encode((USER + ':' + PASSWORD).encode('utf-8')).decode('ascii')
    program('cc')           # a configuration is compiled
    return [program('varnishd'), '-F', '-j', 'none', '-n', os.path.join(self.folder, 'work'),
            '-a', '127.0.0.1:%d' % self.port, '-T', 'none', '-s', 'malloc,16m', '-f', self.write(
                'default.vcl', _VARNISH.format(**words(upstream=self.upstream.port, token=token)))]


KINDS = {'nginx': nginx, 'haproxy': haproxy, 'caddy': caddy, 'apache': apache, 'varnish': varnish}
#: How many ports each has, where it is not four.
PORTS = {'nginx': 5, 'varnish': 1}


class ReverseProxy(Counterpart):
    """One of the five in front of a scripted server.

    :param kind: 'nginx', 'haproxy', 'caddy', 'apache' or 'varnish'
    :param upstream: the ScriptedServer
    """

    def __init__(self, kind, upstream):
        self.kind = kind
        self.upstream = upstream
        super(ReverseProxy, self).__init__(KINDS[kind], PORTS.get(kind, 4))
        self.plain = self.port
        self.sni = self.ports[-1]

    def _secure(self, number):
        if len(self.ports) == 1:
            pytest.skip('%s speaks no TLS' % self.kind)
        return self.ports[number]

    tls12 = property(lambda self: self._secure(1))
    tls13 = property(lambda self: self._secure(2))
    mutual = property(lambda self: self._secure(3))

    def url(self, path='/echo', port=None, host='localhost'):
        port = port or self.plain
        return '%s://%s:%d%s' % ('ws' if port == self.plain else 'wss', host, port, path)
