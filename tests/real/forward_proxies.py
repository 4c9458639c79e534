"""tinyproxy, squid, mitmproxy, microsocks and dante; it must not know what is proved
with them.

Each can be had open and with user and password.  dante's users are the machine's: it
sees other files in place of /etc/passwd and /etc/shadow (``sandbox``), the machine gets
no user.
"""

from __future__ import absolute_import, division, unicode_literals

import hashlib
import io
import os
import subprocess

from counterparts import DEBIAN, Counterpart, certificate, environment_program, needs, program
from sandbox import with_files

USER, PASSWORD = 'user', 'secret'
IS_ROOT = hasattr(os, 'geteuid') and os.geteuid() == 0


def tinyproxy(self):
    lines = ['Port %d' % self.port, 'Listen 127.0.0.1', 'Timeout 600', 'MaxClients 50', 'LogLevel Error']
    if self.auth:
        lines.append('BasicAuth %s %s' % (USER, PASSWORD))
    return [program('tinyproxy'), '-d', '-c', self.write('tinyproxy.conf', '\n'.join(lines) + '\n')]


_SQUID = '''
http_port 127.0.0.1:{ports[0]}
https_port 127.0.0.1:{ports[1]} tls-cert={both}
pid_filename {folder}/pid
coredump_dir {folder}
cache_log {folder}/output.txt
access_log none
cache_store_log none
mime_table {share}/mime.conf
unlinkd_program {helpers}/unlinkd
icon_directory {share}/icons
error_directory {share}/errors/en
visible_hostname localhost
pinger_enable off
memory_cache_shared off
cache deny all
shutdown_lifetime 0 seconds
{auth}
http_access deny all
'''
_SQUID_AUTH = '''
auth_param {kind} program {helper} {file}
auth_param {kind} realm a realm
auth_param {kind} children 1
acl known proxy_auth REQUIRED
http_access allow known
'''


def squid(self):
    path = program('squid')
    root = DEBIAN if path.startswith(DEBIAN) else '/'
    helpers = os.path.join(root, 'usr/lib/squid')
    auth = 'http_access allow all'
    if self.auth == 'digest':
        digest = hashlib.md5(':'.join((USER, 'a realm', PASSWORD)).encode('utf-8')).hexdigest()
        auth = _SQUID_AUTH.format(kind='digest', helper=os.path.join(helpers, 'digest_file_auth') + ' -c',
                                  file=self.write('digests', '%s:a realm:%s\n' % (USER, digest)))
    elif self.auth:
        crypted = subprocess.check_output([program('openssl'), 'passwd', '-apr1', PASSWORD]).decode('ascii')
        auth = _SQUID_AUTH.format(kind='basic', helper=os.path.join(helpers, 'basic_ncsa_auth'),
                                  file=self.write('passwords', '%s:%s\n' % (USER, crypted.strip())))
    return [path, '-N', '-n', 'lomond%d' % self.port, '-f', self.write('squid.conf', _SQUID.format(
        ports=self.ports, both=needs(certificate('server.pem')), folder=self.folder, helpers=helpers,
        share=os.path.join(root, 'usr/share/squid'), auth=auth))]


def mitmproxy(self):
    command = [environment_program('mitmproxy', 'mitmdump'), '-q', '--listen-host', '127.0.0.1',
               '--listen-port', '%d' % self.port, '--set', 'confdir=' + self.folder,
               '--set', 'ssl_verify_upstream_trusted_ca=' + needs(certificate('ca.pem')),
               '--certs', '*=' + certificate('server.pem')]
    return command + (['--proxyauth', '%s:%s' % (USER, PASSWORD)] if self.auth else [])


def microsocks(self):
    command = [program('microsocks'), '-i', '127.0.0.1', '-p', '%d' % self.port]
    return command + (['-u', USER, '-P', PASSWORD] if self.auth else [])


_DANTE = '''
logoutput: stderr
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: {method}
{users}
client pass {{
    from: 127.0.0.0/8 to: 0.0.0.0/0
    log: error
}}
socks pass {{
    from: 127.0.0.0/8 to: 0.0.0.0/0
    log: error
}}
'''


def dante(self):
    users = 'user.privileged: root\nuser.unprivileged: nobody' if IS_ROOT else ''
    command = [program('danted'), '-N', '1', '-f', self.write('danted.conf', _DANTE.format(
        port=self.port, method='username' if self.auth else 'none', users=users))]
    if not self.auth:
        return command
    crypted = subprocess.check_output([program('openssl'), 'passwd', '-6', PASSWORD]).decode('ascii').strip()
    with io.open('/etc/passwd', encoding='utf-8') as there:
        users = there.read() + '%s:x:4711:65534::/nonexistent:/bin/false\n' % USER
    return with_files({'/etc/passwd': self.write('passwd', users), '/etc/shadow': self.write(
        'shadow', '%s:%s:20000:0:99999:7:::\n' % (USER, crypted))}, command)


#: Kind: (maker, schemes that it takes, on which of its ports).
KINDS = {
    'tinyproxy': (tinyproxy, {'http': 0}), 'squid': (squid, {'http': 0, 'https': 1}),
    'mitmproxy': (mitmproxy, {'http': 0, 'https': 0}),
    'microsocks': (microsocks, {'socks5': 0, 'socks5h': 0}),
    'dante': (dante, {'socks4': 0, 'socks4a': 0, 'socks5': 0, 'socks5h': 0}),
}


class ForwardProxy(Counterpart):
    """One of the five.

    :param kind: its name
    :param auth: False: open to everybody; True: user and password; 'digest' (squid)
    """

    def __init__(self, kind, auth=False):
        self.kind = kind
        self.auth = auth
        make, self.schemes = KINDS[kind]
        super(ForwardProxy, self).__init__(make, len(set(self.schemes.values())))

    def url(self, scheme, userinfo=''):
        return '%s://%s127.0.0.1:%d' % (scheme, userinfo, self.ports[self.schemes[scheme]])
