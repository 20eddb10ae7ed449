package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// Run prints the version.
func (c *versionCmd) Run(e *env) error {
	if c.JSON {
		return e.printJSON(map[string]string{"version": version(), "go": runtime.Version()})
	}
	_, err := fmt.Fprintf(e.stdout, "quorate %s (%s)\n", version(), runtime.Version())
	return err
}
