package config

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// A machine is what Load can read: files by name.
type machine map[string]string

func (m machine) read(name string) ([]byte, error) {
	if text, ok := m[name]; ok {
		return []byte(text), nil
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
}

func newTestLoad(t *testing.T, m machine, environ []string, args ...string) (Serve, error) {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	Flags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatalf("parse flags: %v", err)
	}
	return load(fs, environ, m.read)
}

// A user who gives nothing gets what the page of the interface promises.
func TestDefaults(t *testing.T) {
	got, err := newTestLoad(t, machine{"/proc/meminfo": "MemTotal:        8388608 kB\n"}, []string{"HOME=/root", "PATH"})
	if err != nil {
		t.Fatal(err)
	}
	want := Serve{
		Dir: "./quord-data", Addr: "127.0.0.1:6379", PeerAddr: "127.0.0.1:16379", HTTPAddr: "127.0.0.1:7379",
		Weight: 1, Tokens: 64, Replicas: 3, Tablets: 1024, ReplaceAfter: 5 * time.Minute,
		RequestTimeout: 5 * time.Second, MaxValue: 32 * MiB, MaxClients: 10000, Memory: 2 * GiB, LogLevel: slog.LevelInfo,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
}

// A user who sets one thing in several places gets the flag, then the environment, then the file.
func TestPrecedence(t *testing.T) {
	m := machine{"q.yaml": `
addr: 127.0.0.1:1000
zone: file
tokens: 100
weight: 1.5
insecure: true
replace-after: 90s
join: [10.0.0.1:1, "10.0.0.2:2"]
password: "007"
max-value: 1048576
`}
	got, err := newTestLoad(t, m, []string{"QUORD_ADDR=127.0.0.1:2000", "QUORD_ZONE=env", "QUORD_CONFIG=q.yaml", "QUORD_HTTP_ADDR="},
		"--addr=[::1]:3000", "--init=false", "--advertise=[::1]", "--tablets", "16")
	if err != nil {
		t.Fatal(err)
	}
	want := Serve{
		Dir: "./quord-data", Addr: "[::1]:3000", PeerAddr: "[::1]:13000", HTTPAddr: "", Advertise: "::1",
		Zone: "env", Weight: 1.5, Tokens: 100, Replicas: 3, Tablets: 16, ReplaceAfter: 90 * time.Second,
		RequestTimeout: 5 * time.Second, MaxValue: MiB, MaxClients: 10000, Memory: fallbackMemory,
		Join: []string{"10.0.0.1:1", "10.0.0.2:2"}, Password: "007", Insecure: true, Config: "q.yaml",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("merged (-want +got):\n%s", d)
	}
	if got, err := newTestLoad(t, machine{"a": "zone: a", "b": "zone: b"}, []string{"QUORD_CONFIG=a"}, "--config", "b"); err != nil || got.Zone != "b" {
		t.Errorf("--config over QUORD_CONFIG: zone %q, %v; want b", got.Zone, err)
	}
}

// A user with a typo or an impossible value is told which setting, which value, from where, and what is allowed.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   machine
		environ []string
		args    []string
		want    []string
	}{
		{name: "unknown key of the file", files: machine{"f": "adr: x"}, args: []string{"--config=f"}, want: []string{`unknown setting adr (file f): allowed are dir addr peer-addr`}},
		{name: "config in the file", files: machine{"f": "config: x"}, args: []string{"--config=f"}, want: []string{`unknown setting config (file f)`}},
		{name: "dotted key of the file", files: machine{"f": "http.addr: x"}, args: []string{"--config=f"}, want: []string{`unknown setting http.addr (file f)`}},
		{name: "unknown variable", environ: []string{"QUORD_ADR=x"}, want: []string{`unknown setting QUORD_ADR (environment): allowed are QUORD_DIR QUORD_ADDR`}},
		{name: "variable in lower case", environ: []string{"QUORD_addr=x"}, want: []string{`unknown setting QUORD_addr`}},
		{name: "variable with the flag's hyphen", environ: []string{"QUORD_PEER-ADDR=x"}, want: []string{`unknown setting QUORD_PEER-ADDR`}},
		{name: "no file", args: []string{"--config=nowhere"}, want: []string{`config "nowhere": file does not exist: want a YAML file`}},
		{name: "not YAML", files: machine{"f": "a: b: c"}, args: []string{"--config=f"}, want: []string{`config "f": want YAML lines`}},
		{name: "huge file", files: machine{"f": strings.Repeat("#", maxFile+1)}, args: []string{"--config=f"}, want: []string{`at most 1MiB`}},
		{name: "nested", files: machine{"f": "addr: {host: x}"}, args: []string{"--config=f"}, want: []string{`addr (file f): want one value, not a list or a map`}},
		{name: "list", files: machine{"f": "addr: [x]"}, args: []string{"--config=f"}, want: []string{`addr (file f): want one value`}},
		{name: "list of numbers", files: machine{"f": "join: [1]"}, args: []string{"--config=f"}, want: []string{`join (file f): want a list of peer addresses`}},
		{name: "nothing", files: machine{"f": "zone:"}, args: []string{"--config=f"}, want: []string{`zone (file f): want a value; "" is the empty one`}},
		{name: "number as a password", files: machine{"f": "password: 007"}, args: []string{"--config=f"}, want: []string{`password (file f): want text: put the value into quotes`}},
		{name: "source flag", args: []string{"--tokens=3"}, want: []string{`tokens "3" (flag): want a whole number from 17 to 1024`}},
		{name: "source environment", environ: []string{"QUORD_TOKENS=3"}, want: []string{`tokens "3" (environment QUORD_TOKENS): want`}},
		{name: "source file", files: machine{"f": "tokens: 3"}, args: []string{"--config=f"}, want: []string{`tokens "3" (file f): want`}},
		{name: "dir", args: []string{"--dir="}, want: []string{`dir (flag): want the path`}},
		{name: "addr", args: []string{"--addr=6379"}, want: []string{`addr "6379" (flag): want host:port, such as`}},
		{name: "port", args: []string{"--addr=localhost:65536"}, want: []string{`addr "localhost:65536" (flag): want host:port with a port from 0 to 65535`}},
		{name: "peer-addr", args: []string{"--peer-addr="}, want: []string{`peer-addr (flag): want host:port`}},
		{name: "http-addr", args: []string{"--http-addr=x"}, want: []string{`http-addr "x" (flag): want host:port, or ""`}},
		{name: "advertise with a port", args: []string{"--advertise=a:1"}, want: []string{`advertise "a:1" (flag): want a host name`}},
		{name: "advertise everything", args: []string{"--advertise=0.0.0.0"}, want: []string{`means every interface`}},
		{name: "init", args: []string{"--init=perhaps"}, want: []string{`init "perhaps" (flag): want true or false`}},
		{name: "join", args: []string{"--join=a:1,b"}, want: []string{`join "a:1,b" (flag): want peer addresses host:port separated by commas; "b" is none`}},
		{name: "zone", args: []string{"--zone=a b"}, want: []string{`zone "a b" (flag): want up to 64 printable`}},
		{name: "weight", args: []string{"--weight=NaN"}, want: []string{`weight "NaN" (flag): want a number above 0, up to 100`}},
		{name: "weight and tokens", args: []string{"--weight=20"}, want: []string{`weight "20": at most 16 where a node of weight 1 has 64 tokens`}},
		{name: "replicas", args: []string{"--replicas=8"}, want: []string{`replicas "8" (flag): want a whole number from 1 to 7`}},
		{name: "tablets", args: []string{"--tablets=1000"}, want: []string{`tablets "1000" (flag): want a power of two from 1 to 16384`}},
		{name: "duration", args: []string{"--replace-after=5"}, want: []string{`replace-after "5" (flag): want a duration from 1s to 720h0m0s`}},
		{name: "timeout", args: []string{"--request-timeout=0s"}, want: []string{`request-timeout "0s" (flag): want a duration from 10ms`}},
		{name: "size", args: []string{"--max-value=32M"}, want: []string{`max-value "32M" (flag): want a size such as`}},
		{name: "size out of range", args: []string{"--max-value=1GiB"}, want: []string{`max-value "1GiB" (flag): want a size from 1KiB to 48MiB`}},
		{name: "memory", args: []string{"--memory=1MB"}, want: []string{`memory "1MB" (flag): want a size of at least 64MiB`}},
		{name: "max-clients", args: []string{"--max-clients=0"}, want: []string{`max-clients "0" (flag): want a whole number from 1`}},
		{name: "log-format", args: []string{"--log-format=xml"}, want: []string{`log-format "xml" (flag): want text or json`}},
		{name: "log-level", args: []string{"--log-level=loud"}, want: []string{`log-level "loud" (flag): want debug, info, warn or error`}},
		{name: "init and join", args: []string{"--init", "--join=a:1"}, want: []string{`either --init, which makes a new cluster, or --join`}},
		{name: "two listeners on one address", args: []string{"--peer-addr=127.0.0.1:6379"}, want: []string{`peer-addr "127.0.0.1:6379": an address of its own: addr has this one already`}},
		{name: "derived port too high", args: []string{"--addr=127.0.0.1:60000"}, want: []string{`peer-addr (derived from addr 127.0.0.1:60000): the port of addr plus 10000 is above 65535`}},
		{name: "open to the world", args: []string{"--addr=10.0.0.1:1"}, want: []string{`addr "10.0.0.1:1": without a password only loopback`, `peer-addr "10.0.0.1:10001": without`, `http-addr "10.0.0.1:1001": without`}},
		{name: "every interface", args: []string{"--addr=:1", "--insecure"}, want: []string{`advertise: a host that others can reach, since addr :1 listens on every interface`}},
		{name: "all at once", args: []string{"--weight=x", "--zone=a b"}, environ: []string{"QUORD_X=1"}, want: []string{"QUORD_X", "weight", "zone"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newTestLoad(t, c.files, c.environ, c.args...)
			if err == nil {
				t.Fatal("accepted")
			}
			var ce *Error
			if !errors.As(err, &ce) {
				t.Errorf("%v holds no *Error", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

// A password that is wrong in itself must not stand in a log.
func TestSecretsStaySecret(t *testing.T) {
	_, err := newTestLoad(t, nil, []string{"QUORD_PASSWORD=" + strings.Repeat("hunter2", 100)})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v; want one without the password", err)
	}
}

// A container whose cluster has a service named quord must start all the same.
func TestInjectedVariables(t *testing.T) {
	if _, err := newTestLoad(t, nil, []string{"QUORD_PORT=tcp://10.0.0.1:6379", "QUORD_SERVICE_HOST=10.0.0.1", "QUORD_PORT_6379_TCP=x"}); err != nil {
		t.Errorf("variables that Kubernetes sets: %v", err)
	}
}

// Every setting can be given in each of the three ways; a row that cannot is a lie in the help.
func TestEverySettingEverywhere(t *testing.T) {
	sample := map[string]string{
		"dir": "/d", "addr": "127.0.0.1:1", "peer-addr": "127.0.0.1:2", "http-addr": "127.0.0.1:3", "advertise": "h", "init": "true",
		"join": "h:1", "zone": "z", "weight": "2", "tokens": "17", "replicas": "7", "tablets": "1", "replace-after": "1s",
		"request-timeout": "1s", "max-value": "1KiB", "max-clients": "1", "memory": "1GB", "password": "p", "insecure": "true",
		"log-format": "json", "log-level": "debug",
	}
	for _, s := range settings {
		value, ok := sample[s.key]
		if !ok {
			t.Errorf("no sample for %s", s.key)
			continue
		}
		byFlag, err1 := newTestLoad(t, nil, nil, "--"+s.key+"="+value)
		byEnv, err2 := newTestLoad(t, nil, []string{variable(s.key) + "=" + value})
		byFile, err3 := newTestLoad(t, machine{"f": s.key + ": '" + value + "'"}, nil, "--config=f")
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Errorf("%s: %v", s.key, err)
		}
		byFile.Config = ""
		if cmp.Diff(byFlag, byEnv) != "" || cmp.Diff(byFlag, byFile) != "" {
			t.Errorf("%s means different things by flag, environment and file", s.key)
		}
		def, _ := newTestLoad(t, nil, nil)
		if cmp.Diff(byFlag, def) == "" {
			t.Errorf("%s %s changes nothing", s.key, value)
		}
	}
}

// A file of settings that is something else, or half of one, is refused with words; it never makes a node that nobody
// asked for.
func FuzzFile(f *testing.F) {
	for _, text := range []string{
		"addr: 127.0.0.1:7001\njoin: [127.0.0.1:17002]\nmemory: 64MiB\n", "replicas: 9\n", "a: [b", "{}", "- 1\n- 2\n", "addr: &a [*a]\n",
		"request-timeout: 1h\nweight: .inf\n", "password: !!binary aGVsbG8=\n", "tokens: 0x40\ninsecure: yes\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		Flags(fs)
		if err := fs.Parse([]string{"--config", "file"}); err != nil {
			t.Fatal(err)
		}
		s, err := load(fs, nil, func(string) ([]byte, error) { return text, nil })
		if err != nil {
			if len(err.Error()) == 0 {
				t.Fatal("an error without words")
			}
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("what was loaded is not valid: %v", err)
		}
	})
}
