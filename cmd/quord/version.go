package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker: -X main.release=v1.2.3 -X main.commit=0123456789ab. Without it the build information is asked.
var (
	release string
	commit  string
)

// build says what this binary is.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	// Formats names the versions of what this binary writes where another version may read it.
	Formats map[string]int `json:"formats"`
}

func thisBuild() build {
	b := build{Version: release, Commit: commit, Go: runtime.Version(), Formats: formats}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
		if b.Commit == "" {
			b.Commit = vcsCommit(info.Settings)
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	return b
}

// vcsCommit returns the commit that the go command noted, marked where files had been changed since.
func vcsCommit(settings []debug.BuildSetting) string {
	revision, changed := "", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + changed
}

func (a *app) version() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Version, commit, Go and formats of this binary",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			if asJSON {
				return printJSON(a.out, b)
			}
			fmt.Fprintf(a.out, "quord %s\ncommit %s\n%s %s/%s\n", b.Version, b.Commit, b.Go, runtime.GOOS, runtime.GOARCH)
			for _, name := range sortedKeys(b.Formats) {
				fmt.Fprintf(a.out, "format %s %d\n", name, b.Formats[name])
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
