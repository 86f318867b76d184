package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	envPrefix = "QUORD_"
	fileKey   = "config"
	// maxFile bounds the file of settings; a larger one is surely another file.
	maxFile = 1 << 20
)

// text is a flag's value as it was written: what it means is found out with the same words wherever it came from.
type text struct {
	value string
	kind  string
}

func (t *text) String() string     { return t.value }
func (t *text) Set(v string) error { t.value = v; return nil }
func (t *text) Type() string       { return t.kind }

// Flags adds the flags of serve to fs.
func Flags(fs *pflag.FlagSet) {
	for _, s := range settings {
		usage := s.usage
		if s.unset != "" {
			usage += fmt.Sprintf(" (default %s)", s.unset)
		}
		f := fs.VarPF(&text{value: s.def, kind: s.kind}, s.key, "", usage)
		if s.kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	fs.Var(&text{kind: "FILE"}, fileKey, "YAML file of the same settings, by the names of the flags")
}

// Load returns the settings that the parsed flags, the environment (as os.Environ lists it) and the file named by
// --config or QUORD_CONFIG make up. Every error it returns is, or joins, *Error values.
func Load(fs *pflag.FlagSet, environ []string) (Serve, error) {
	return load(fs, environ, readFile)
}

func load(fs *pflag.FlagSet, environ []string, read func(string) ([]byte, error)) (Serve, error) {
	var errs []error
	k := koanf.New("\x00") // no setting is nested, so no key may be taken apart
	from := map[string]string{}
	merge := func(source func(key string) string, p koanf.Provider) {
		layer := koanf.New("\x00")
		if err := errors.Join(layer.Load(p, nil), k.Merge(layer)); err != nil {
			errs = append(errs, err)
			return
		}
		for _, key := range layer.Keys() {
			from[key] = source(key)
		}
	}

	file := fileName(fs, environ)
	if file != "" {
		values, err := readSettings(file, read)
		errs = append(errs, err)
		merge(func(string) string { return "file " + file }, confmap.Provider(values, ""))
	}
	merge(func(key string) string { return "environment " + variable(key) }, env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-")
			switch {
			case key == fileKey || injected(name):
				return "", nil
			case find(key) == nil || variable(key) != name:
				errs = append(errs, unknown(name, "environment", names(variable)))
				return "", nil
			}
			return key, value
		},
	}))
	merge(func(string) string { return "flag" }, posflag.ProviderWithFlag(fs, "\x00", k, func(f *pflag.Flag) (string, any) {
		if !f.Changed || find(f.Name) == nil {
			return "", nil
		}
		return f.Name, f.Value.String()
	}))

	s := Serve{Config: file}
	for _, one := range settings {
		value := one.def
		switch given := k.Exists(one.key); {
		case given:
			value = k.String(one.key)
		case one.unset != "":
			continue
		}
		if err := one.set(&s, value); err != nil {
			if one.secret {
				value = ""
			}
			errs = append(errs, &Error{Key: one.key, Value: value, Source: from[one.key], Want: err.Error()})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Serve{}, err
	}
	if !k.Exists("memory") {
		s.Memory = quarterOfMachine(read)
	}
	if err := errors.Join(s.complete(k.Exists), s.Validate()); err != nil {
		return Serve{}, err
	}
	return s, nil
}

// fileName returns the file that the flag, or else the environment, names.
func fileName(fs *pflag.FlagSet, environ []string) string {
	if f := fs.Lookup(fileKey); f != nil && f.Changed {
		return f.Value.String()
	}
	name := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, variable(fileKey)+"="); ok {
			name = v
		}
	}
	return name
}

// readSettings reads the YAML file and returns its settings as they would be written on a command line.
func readSettings(file string, read func(string) ([]byte, error)) (map[string]any, error) {
	source := "file " + file
	b, err := read(file)
	if err != nil {
		want := err
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			want = pe.Err
		}
		return nil, &Error{Key: fileKey, Value: file, Want: want.Error() + ": want a YAML file that can be read"}
	}
	if len(b) > maxFile {
		return nil, &Error{Key: fileKey, Value: file, Want: fmt.Sprintf("want a file of at most %s, this has %d bytes", Size(maxFile), len(b))}
	}
	parsed, err := yaml.Parser().Unmarshal(b)
	if err != nil {
		return nil, &Error{Key: fileKey, Value: file, Want: fmt.Sprintf("want YAML lines such as `addr: 127.0.0.1:6379`: %v", err)}
	}
	var errs []error
	values := make(map[string]any, len(parsed))
	for _, key := range slices.Sorted(maps.Keys(parsed)) {
		one := find(key)
		if one == nil {
			errs = append(errs, unknown(key, source, names(func(key string) string { return key })))
			continue
		}
		value, want := written(one, parsed[key])
		if want != "" {
			errs = append(errs, &Error{Key: key, Source: source, Want: want})
			continue
		}
		values[key] = value
	}
	return values, errors.Join(errs...)
}

// written returns a value of the file as it would stand on a command line, or else what is wanted instead.
func written(one *setting, value any) (line, want string) {
	switch v := value.(type) {
	case string:
		return v, ""
	case bool, int, int64, uint64, float64:
		if one.kind == "TEXT" || one.kind == "NAME" {
			// YAML has turned 007 into 7 and `no` into false: what was meant can no longer be told.
			return "", "want text: put the value into quotes"
		}
		return fmt.Sprint(v), ""
	case []any:
		if one.key != "join" {
			break
		}
		parts := make([]string, len(v))
		for i, part := range v {
			text, ok := part.(string)
			if !ok {
				return "", "want a list of peer addresses host:port"
			}
			parts[i] = text
		}
		return joinList(parts), ""
	case nil:
		return "", `want a value; "" is the empty one`
	}
	return "", "want one value, not a list or a map"
}

// injected reports whether an orchestrator, rather than a user, sets the variable: Kubernetes announces a service
// that is called "quord" to every container by QUORD_SERVICE_HOST, QUORD_PORT_6379_TCP and so on.
func injected(name string) bool {
	return name == "QUORD_PORT" || strings.HasPrefix(name, "QUORD_PORT_") || strings.HasPrefix(name, "QUORD_SERVICE_")
}

// variable returns the environment variable of a setting.
func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

func find(key string) *setting {
	for i := range settings {
		if settings[i].key == key {
			return &settings[i]
		}
	}
	return nil
}

func names(as func(key string) string) []string {
	list := make([]string, len(settings))
	for i, s := range settings {
		list[i] = as(s.key)
	}
	return list
}

func unknown(name, source string, allowed []string) error {
	return &Error{Key: name, Source: source, Unknown: true, Want: "allowed are " + strings.Join(allowed, " ")}
}
