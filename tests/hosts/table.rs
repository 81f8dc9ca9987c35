//! The host programs: what each is asked to do, and the Debian packages that bring it.

/// A program, or a family of them, and some real work for it.
pub struct Host {
    /// What it is called in messages.
    pub name: &'static str,
    /// What must be there for it to be tried.
    pub needs: &'static [&'static str],
    /// Which Debian packages bring that.
    pub packages: &'static [&'static str],
    /// A script for bash. It prints what can be compared, and leaves files that can be. `$STATE FILE` writes what a child
    /// sees of its own state.
    pub script: &'static str,
}

/// Work that every POSIX shell does alike.
const SHELL_WORK: &str = r#"
cat > work.sh <<'END'
x=$(echo a | tr a b); echo "$x"; (exit 3); echo $?
for i in 1 2 3; do echo $i & done | sort; wait
sh -c 'kill -TERM $$' 2>/dev/null; echo $?
sleep 60 & p=$!; sleep 0.3; kill $p; { wait $p; } 2>/dev/null; echo $?
trap 'echo bye' EXIT
/nonexistent 2>/dev/null; echo $?
cat <<EOF | wc -l
a
b
EOF
$STATE state; env | grep -c '^PATH=' > path
exit 7
END
"#;

macro_rules! shell {
    ($name:literal, $package:literal, $run:literal) => {
        Host {
            name: $name,
            needs: &[$name],
            packages: &[$package],
            script: concat!("eval \"$SHELL_WORK\"; ", $run, " work.sh; echo end $?"),
        }
    };
}

/// All of them.
pub const HOSTS: &[Host] = &[
    shell!("bash", "bash", "bash"),
    shell!("dash", "dash", "dash"),
    shell!("busybox", "busybox-static", "busybox sh"),
    shell!("zsh", "zsh", "zsh"),
    shell!("ksh", "ksh", "ksh"),
    Host {
        name: "tcsh",
        needs: &["tcsh"],
        packages: &["tcsh"],
        script: r#"tcsh -fc 'set x = `echo a | tr a b`; echo $x; $STATE state; (sleep 0.1; echo late) | cat; exit 4'; echo $?"#,
    },
    Host {
        name: "coreutils and util-linux",
        needs: &["timeout", "xargs", "setsid", "flock", "script"],
        packages: &["coreutils", "findutils", "util-linux", "bsdutils"],
        script: r#"
timeout 0.2 sleep 60; echo $?; timeout -s KILL 0.2 sleep 60; echo $?
seq 20 | xargs -P4 -n1 sh -c 'exit $0' ; echo $?
seq 20 | xargs -P4 -n1 echo | sort -n | tail -1
find /etc/hostname -exec echo found {} \; -exec sh -c 'exit 1' \;
env -i sh -c 'echo clean'; env -i A=b env | grep -v -e ^LD_PRELOAD -e ^_DDTRACE -e ^DD_ -e ^OTEL_ -e ^TRACE -e ^PYTHONPATH
nohup sh -c 'echo kept' 2>/dev/null; setsid -w sh -c 'exit 5'; echo $?
flock lock sh -c 'echo locked'; nice -n 3 nice; stdbuf -o0 echo unbuffered
script -qec 'tty > /dev/null && echo on a terminal; exit 6' /dev/null < /dev/null; echo $?
(exec -a other sleep 0); chroot / true; echo $?; setpriv --no-new-privs $STATE state; rm -f lock"#,
    },
    Host {
        name: "make",
        needs: &["make", "cc"],
        packages: &["make", "gcc"],
        script: r#"
printf 'all: a b c\n\t@echo done\na b c:\n\t@sleep 0.1; echo made > $@\nfail:\n\t@exit 9\nsub:\n\t@$(MAKE) -s -C . a b\nstate:\n\t@$$STATE state\n' > Makefile
make -s -j8; make -s -j3 sub; make -s fail; echo $?; make -s state
printf 'int main(void){return 3;}' > p.c; make -s p; ./p; echo $?"#,
    },
    Host {
        name: "git",
        needs: &["git"],
        packages: &["git"],
        script: r#"
export GIT_AUTHOR_DATE='2026-01-01 00:00 +0000' GIT_COMMITTER_DATE='2026-01-01 00:00 +0000'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_GLOBAL=/dev/null
git init -q -b main r; cd r; for i in 1 2 3 4; do echo $i > f; git add f; git commit -qm "c$i"; done
printf '#!/bin/sh\n$STATE ../state; echo hook' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
echo 5 > f; git commit -qam c5; git log --format='%H %s'; git gc -q; git fsck
git -c alias.x='!sh -c "echo alias; exit 3"' x; echo $?
git bisect start -q HEAD HEAD~4 > /dev/null; git bisect run sh -c 'test $(cat f) -lt 3' | grep 'first bad'
cd ..; git clone -q r c; git -C c log -1 --format=%s; git -C c grep -c 5; rm -rf r c"#,
    },
    Host {
        name: "perl",
        needs: &["perl"],
        packages: &["perl"],
        script: r#"perl -e '
$|=1; my $p = fork // die; if (!$p) { exit 3 } waitpid $p, 0; print $? >> 8, "\n";
system("exit 4"); print $? >> 8, "\n"; system("sh", "-c", "exit 5"); print $? >> 8, "\n"; print `echo six`;
open my $f, "-|", "cat", "/etc/hostname" or die; 1 while <$f>; close $f; print "$?\n";
$SIG{CHLD} = sub { print "child\n" if wait > 0 }; my $c = fork; exit 0 unless $c; select undef, undef, undef, 0.3;
$SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select undef, undef, undef, 3; $SIG{CHLD} = "IGNORE"; system "true"; print "$?\n";
$SIG{CHLD} = "DEFAULT"; system "$ENV{STATE} state"; system "/nonexistent"; print "$?\n"; kill 9, $$'; echo $?"#,
    },
    Host {
        name: "python",
        needs: &["python3"],
        packages: &["python3"],
        script: r#"
cat > work.py <<'END'
import asyncio, concurrent.futures, multiprocessing, os, signal, socket, subprocess, sys, threading
def twice(x): return 2 * x
async def several():
    p = await asyncio.create_subprocess_exec('sh', '-c', 'echo out; exit 3', stdout=asyncio.subprocess.PIPE)
    print((await p.communicate()), p.returncode)
if __name__ == '__main__':
    print(threading.active_count(), len(os.listdir('/proc/self/fd')))
    for way in 'fork', 'forkserver', 'spawn':
        with multiprocessing.get_context(way).Pool(2) as pool: print(way, pool.map(twice, range(5)))
    print(subprocess.run(['sh', '-c', 'exit 4']).returncode, subprocess.run('kill -9 $$', shell=True).returncode)
    print(subprocess.run(['cat'], input=b'in', capture_output=True, close_fds=True, start_new_session=True).stdout)
    print(subprocess.run(['env'], env={'A': 'b'}, capture_output=True).stdout.decode().count('A=b'))
    try: subprocess.run(['/nonexistent'])
    except FileNotFoundError as e: print(e)
    print(os.waitstatus_to_exitcode(os.system('exit 5')), os.popen('echo popen').read())
    asyncio.run(several())
    with concurrent.futures.ThreadPoolExecutor(8) as e: print(sum(e.map(lambda n: os.system('true') + n, range(8))))
    pid = os.fork()
    if pid == 0: os._exit(6)
    print(os.waitpid(pid, 0)[1] >> 8)
    print(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 7'], os.environ), 0)[1]))
    a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))
    subprocess.run([os.environ['STATE'], 'state']); sys.stdout.flush(); os.kill(os.getpid(), signal.SIGABRT)
END
# What is left of semaphores is complained of when it is found.
python3 work.py 2> /dev/null; echo $?; rm -rf __pycache__"#,
    },
    Host {
        name: "ruby",
        needs: &["ruby"],
        packages: &["ruby"],
        script: r#"ruby -e '
$stdout.sync = true
p fork { exit 3 }.then { |pid| Process.wait2(pid)[1].exitstatus }, system("exit 4"), $?.exitstatus, `echo five`
Process.wait spawn("exit 6"); p $?.exitstatus; p IO.popen(["cat"], "r+") { |io| io << "x"; io.close_write; io.read }
p (1..4).map { |n| Thread.new { `echo #{n}`.to_i } }.sum(&:value); p Process.clock_gettime(1) > 0
system(ENV["STATE"], "state"); p system("/nonexistent"); trap("TERM") { puts "term"; exit 7 }; Process.kill("TERM", $$); sleep 5'; echo $?"#,
    },
    Host {
        name: "php",
        needs: &["php"],
        packages: &["php-cli"],
        script: r#"php -r '
exec("echo a; exit 3", $o, $r); print_r($o); echo $r, shell_exec("echo b"); system("echo c"); passthru("exit 4", $r); echo $r;
$p = proc_open(["cat"], [["pipe","r"],["pipe","w"]], $io); fwrite($io[0], "x"); fclose($io[0]); echo stream_get_contents($io[1]); echo proc_close($p);
if (function_exists("pcntl_fork")) { $c = pcntl_fork(); if (!$c) exit(5); pcntl_waitpid($c, $s); echo pcntl_wexitstatus($s); }
system(getenv("STATE") . " state"); exit(6);'; echo $?"#,
    },
    Host {
        name: "lua and tcl",
        needs: &["lua5.4", "tclsh", "expect"],
        packages: &["lua5.4", "tcl", "expect"],
        script: r#"
lua5.4 -e 'print(os.execute("exit 3")); print(io.popen("echo x"):read("a")); os.exit(4)'; echo $?
echo 'puts [exec echo x | cat]; catch {exec sh -c {exit 3}} m o; puts [dict get $o -errorcode]; exec $env(STATE) state; exit 5' \
  | sed 's/CHILDSTATUS [0-9]*/CHILDSTATUS/' > t.tcl; tclsh t.tcl | sed 's/CHILDSTATUS [0-9]*/CHILDSTATUS/'; echo ${PIPESTATUS[0]}
expect -c 'log_user 0; spawn sh; send "echo \$((6*7))\r"; expect 42 { puts found }; send "exit 3\r"; expect eof; puts [lindex [wait] 3]'"#,
    },
    Host {
        name: "node",
        needs: &["node"],
        packages: &["nodejs"],
        script: r#"
cat > work.js <<'END'
const { execSync, spawnSync, spawn, fork } = require('child_process'), { Worker, isMainThread } = require('worker_threads');
if (process.argv[2] === 'child') { process.send('hello'); process.disconnect(); return; }
console.log(execSync('echo a').toString(), spawnSync('sh', ['-c', 'exit 3']).status, spawnSync('sh', ['-c', 'kill -9 $$']).signal);
const p = spawn('cat', { stdio: ['pipe', 'inherit', 'inherit'] }); p.stdin.end('b\n');
p.on('exit', () => fork(__filename, ['child']).on('message', m => console.log(m)).on('exit', c => {
  console.log(c); new Worker('require("fs").writeFileSync("worker", "w")', { eval: true }).on('exit', c => {
    const s = require('http').createServer((q, r) => r.end('served')).listen(0, '127.0.0.1', () =>
      require('http').get({ port: s.address().port, host: '127.0.0.1', agent: false }, r => r.on('data', d => { console.log(d.toString());
        spawnSync(process.env.STATE, ['state']); process.exit(4); })));
  }); }));
END
node work.js; echo $?"#,
    },
    Host {
        name: "java",
        needs: &["java", "javac"],
        packages: &["default-jdk-headless"],
        script: r#"
cat > Work.java <<'END'
public class Work { public static void main(String[] a) throws Exception {
  System.out.println(new ProcessBuilder("sh", "-c", "exit 3").start().waitFor());
  System.out.println(new String(Runtime.getRuntime().exec(new String[] {"echo", "x"}).getInputStream().readAllBytes()));
  try { new ProcessBuilder("/nonexistent").start(); } catch (java.io.IOException e) { System.out.println("no such program"); }
  Thread[] ts = new Thread[8]; for (int i = 0; i < 8; i++) { ts[i] = new Thread(() -> { try { new ProcessBuilder("true").start().waitFor(); } catch (Exception e) { e.printStackTrace(); } }); ts[i].start(); }
  for (Thread t : ts) t.join();
  System.out.println(ProcessHandle.current().children().count());
  System.exit(new ProcessBuilder(System.getenv("STATE"), "state").start().waitFor() + 4); } }
END
javac Work.java && java Work; echo $?; rm -f Work.class"#,
    },
    Host {
        name: "nginx and curl",
        needs: &["nginx", "curl"],
        packages: &["nginx-light", "curl"],
        script: r#"
mkdir n; echo page > n/index.html; chmod -R a+rX . ..
cat > n/conf <<END
pid $PWD/n/pid; error_log $PWD/n/error; events {} worker_processes 2;
http { access_log off; client_body_temp_path $PWD/n/b; proxy_temp_path $PWD/n/p; fastcgi_temp_path $PWD/n/f; uwsgi_temp_path $PWD/n/u; scgi_temp_path $PWD/n/s;
  server { listen unix:$PWD/n/socket; root $PWD/n; } }
END
nginx -c $PWD/n/conf; until [ -s n/pid ]; do sleep 0.05; done
curl -s --unix-socket n/socket http://x/index.html; curl -s -o /dev/null -w '%{http_code}\n' --unix-socket n/socket http://x/none
kill -HUP $(cat n/pid); sleep 0.3; curl -s --unix-socket n/socket http://x/index.html
kill -QUIT $(cat n/pid); while [ -e n/pid ]; do sleep 0.05; done; rm -rf n"#,
    },
    Host {
        name: "redis",
        needs: &["redis-server", "redis-cli"],
        packages: &["redis-server"],
        script: r#"
redis-server --port 0 --unixsocket $PWD/r.sock --daemonize yes --logfile /dev/null --dir $PWD > /dev/null
until redis-cli -s r.sock ping 2>/dev/null; do sleep 0.05; done
redis-cli -s r.sock set a 1; redis-cli -s r.sock bgsave; sleep 0.5; redis-cli -s r.sock info persistence | grep rdb_last_bgsave_status | tr -d '\r'
redis-cli -s r.sock shutdown nosave; while [ -e r.sock ]; do sleep 0.05; done; rm -f dump.rdb"#,
    },
    Host {
        name: "postgresql",
        needs: &["runuser", "/usr/lib/postgresql/15/bin/postgres", "psql"],
        packages: &["postgresql"],
        script: r#"
chmod a+rX .. . ; mkdir d; chown postgres d; b=/usr/lib/postgresql/15/bin
as() { runuser -u postgres -- "$@"; }
as $b/initdb -D d/data -N > /dev/null 2>&1; echo $?
as $b/pg_ctl -D d/data -w -l d/log -o "-h '' -k $PWD/d" start > /dev/null; echo $?
as psql -h $PWD/d -qtc "create table t as select generate_series(1, 1000) n; select sum(n) from t" postgres
as $b/pg_ctl -D d/data -w -m fast stop > /dev/null; echo $?; grep -c -e PANIC -e 'terminated by signal' d/log; rm -rf d"#,
    },
    Host {
        name: "sqlite",
        needs: &["sqlite3"],
        packages: &["sqlite3"],
        script: r#"sqlite3 db 'create table t(a); insert into t values(1),(2); select sum(a) from t;' '.shell echo x' '.system exit 3'; echo $?; rm db"#,
    },
    Host {
        name: "openssh",
        needs: &["ssh", "sshd", "ssh-keygen", "ssh-agent"],
        packages: &["openssh-client", "openssh-server"],
        script: r#"
mkdir -p /run/sshd k; chmod 700 k; ssh-keygen -q -N '' -t ed25519 -f k/host; ssh-keygen -q -N '' -t ed25519 -f k/id; cp k/id.pub k/authorized
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
$(command -v sshd) -f /dev/null -o Port=$port -o ListenAddress=127.0.0.1 -o HostKey=$PWD/k/host -o PidFile=$PWD/k/pid -o AuthorizedKeysFile=$PWD/k/authorized -o StrictModes=no -o UsePAM=no 2> /dev/null
until [ -s k/pid ]; do sleep 0.05; done
s() { ssh -F /dev/null -q -p $port -i k/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null 127.0.0.1 "$@"; }
s 'echo over there; exit 5'; echo $?; echo in | s cat; s -tt 'test -t 0 && echo terminal' < /dev/null | tr -d '\r'
eval $(ssh-agent) > /dev/null; ssh-add -q k/id; ssh-add -l | wc -l; ssh-agent -k > /dev/null; kill $(cat k/pid); rm -rf k"#,
    },
    Host {
        name: "wget and an HTTPS server",
        needs: &["wget", "openssl", "python3"],
        packages: &["wget", "openssl", "python3"],
        script: r#"
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
cat > server.py <<'END'
import http.server, ssl
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
s = http.server.HTTPServer(('localhost', 0), H); c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain('cert', 'key')
s.socket = c.wrap_socket(s.socket, server_side=True); open('port.new', 'w').write(str(s.server_port)); import os; os.rename('port.new', 'port'); s.serve_forever()
END
python3 server.py & until [ -s port ]; do sleep 0.05; done; echo content > page
wget -qO- --ca-certificate=cert https://localhost:$(cat port)/page; wget -q -O /dev/null https://localhost:$(cat port)/page; echo $?
kill $!; wait $!; echo $?; rm -f key cert port"#,
    },
    Host {
        name: "other allocators and preloaded libraries",
        needs: &["python3", "fakeroot", "faketime"],
        packages: &["libjemalloc2", "libtcmalloc-minimal4", "libmimalloc2.0", "fakeroot", "faketime"],
        script: r#"
for l in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
  [ -e /usr/lib/x86_64-linux-gnu/$l ] && LD_PRELOAD=$l python3 -c '
import os, subprocess, threading
ts = [threading.Thread(target=lambda: subprocess.run("exit 3", shell=True)) for _ in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]; p = os.fork(); p or os._exit(4); print(os.waitpid(p, 0)[1] >> 8)'; echo $l $?
done
fakeroot sh -c 'touch f; chown 1:2 f; stat -c %u:%g f; exit 3'; echo $?; faketime '2030-01-01 00:00:00' date +%Y; rm -f f"#,
    },
    Host {
        name: "sanitizers",
        needs: &["gcc"],
        packages: &["gcc"],
        script: r#"
cat > s.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *run(void *x) { free(malloc(100)); return x; }
int main(void) { pthread_t t; pthread_create(&t, 0, run, 0); pthread_join(t, 0); fflush(stdout);
  pid_t p = fork(); if (p == 0) { execl("/bin/sh", "sh", "-c", "exit 3", (char *)0); _exit(1); }
  int s; waitpid(p, &s, 0); printf("%d %d\n", WEXITSTATUS(s), system("exit 4") >> 8); return 5; }
END
for f in address thread undefined leak; do gcc -fsanitize=$f -o s s.c -pthread && ./s; echo $f $?; done
gcc -fsanitize=address -static-libasan -o s s.c -pthread && ./s; echo static $?; rm -f s"#,
    },
    Host {
        name: "valgrind, gdb and strace",
        needs: &["valgrind", "gdb", "strace"],
        packages: &["valgrind", "gdb", "strace", "libc6-dbg"],
        script: r#"
valgrind -q --trace-children=yes --error-exitcode=99 $PROCESSES fork; echo $?
valgrind -q --error-exitcode=99 $PROCESSES spawn; echo $?; valgrind -q --tool=helgrind --error-exitcode=99 $PROCESSES threads; echo $?
gdb -nx -batch -ex 'set startup-with-shell off' -ex run -ex 'info threads' --args $EXITS exit 7 2>&1 | grep -c 'exited with code 07'
gdb -nx -batch -ex run --args $EXITS segv 2>&1 | grep -c SIGSEGV
strace -f -o trace $PROCESSES spawn; echo $?; strace -c -o trace $EXITS exit 3; echo $?; rm -f trace"#,
    },
    Host {
        name: "programs of other kinds",
        needs: &["gcc", "musl-gcc", "su"],
        packages: &["gcc", "gcc-multilib", "musl-tools"],
        script: r#"
echo 'int printf(const char *, ...); int main(int c, char **v) { printf("%d %s\n", c, v[0] ? "named" : "nameless"); return 6; }' > k.c
for how in "gcc" "gcc -static" "gcc -static-pie" "gcc -no-pie" "gcc -m32" "musl-gcc" "musl-gcc -static"; do
  if $how -w -o k k.c 2> /dev/null; then sh -c './k; echo $?'; ./k a b; echo "$how $?"; fi; done
printf '#!/bin/sh -e\n#two\necho script $# $0\nexit 3' > script; chmod +x script; ./script a; echo $?
printf 'echo no first line; exit 4' > plain; chmod +x plain; ./plain; echo $?; su -s /bin/sh -c 'id -un; exit 5' nobody; echo $?
printf '#!./script\n' > chain; chmod +x chain; ./chain b; echo $?; rm -f k"#,
    },
    Host {
        name: "go with cgo",
        needs: &["go", "gcc"],
        packages: &["golang-go", "gcc"],
        script: r#"
cat > main.go <<'END'
package main
// #include <unistd.h>
import "C"
import ("fmt"; "os"; "os/exec"; "sync")
func main() {
  fmt.Println(int(C.getpid()) == os.Getpid()); var w sync.WaitGroup
  for i := 0; i < 8; i++ { w.Add(1); go func() { defer w.Done(); exec.Command("true").Run() }() }
  w.Wait(); out, _ := exec.Command("sh", "-c", "echo x").Output(); fmt.Print(string(out))
  exec.Command(os.Getenv("STATE"), "state").Run(); fmt.Println(exec.Command("sh", "-c", "exit 3").Run()); os.Exit(4) }
END
export GOCACHE=$HOME/.gocache GOFLAGS=-mod=mod GO111MODULE=off; go build -o g main.go && ./g; echo $?; rm -f g"#,
    },
    Host {
        name: "terminal programs",
        needs: &["tmux", "socat"],
        packages: &["tmux", "socat"],
        script: r#"
export TMUX_TMPDIR=$PWD; tmux -f /dev/null new-session -d -x 80 -y 24 'sh -c "echo in tmux > tmux-ran; tty > /dev/null && echo terminal >> tmux-ran"'
until grep -q terminal tmux-ran 2>/dev/null; do sleep 0.05; done; tmux kill-server 2>/dev/null; cat tmux-ran
socat -u EXEC:'echo through socat' STDOUT; socat EXEC:'sh -c "tty > /dev/null && echo pty"',pty,setsid,ctty - < /dev/null | tr -d '\r'; rm -rf tmux-[0-9]*"#,
    },
    Host {
        name: "archives and copies",
        needs: &["tar", "rsync", "gzip"],
        packages: &["tar", "rsync", "gzip"],
        script: r#"mkdir -p a/b; seq 1000 > a/b/c; tar czf t.tgz a; tar xzOf t.tgz a/b/c | tail -1; rsync -a a/ d/; diff -r a d && echo same; rm -f t.tgz"#,
    },
];

/// What the shells of the table run.
pub fn shell_work() -> &'static str {
    SHELL_WORK
}
