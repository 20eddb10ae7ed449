package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"text/tabwriter"

	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/node/door"
)

type appCmd struct {
	Show   appShowCmd   `cmd:"" help:"Show an app and its settings."`
	Set    appSetCmd    `cmd:"" help:"Change settings of an app."`
	Create appCreateCmd `cmd:"" help:"Make an app, and print its keys."`
}

type appShowCmd struct {
	connection
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (appShowCmd) Help() string {
	return "It wants the app's master key (QUORATE_MASTER_KEY, or the profile), and does not print the keys."
}

// Run shows the app.
func (c *appShowCmd) Run(ctx context.Context, e *env) error {
	return c.ask(ctx, e, question{method: http.MethodGet, path: "/v1/app"}, c.JSON)
}

type appSetCmd struct {
	connection
	Settings map[string]string `arg:"" mapsep:"none" help:"What to change, each as NAME=VALUE; NAME= puts the default back." placeholder:"NAME=VALUE"`
	JSON     bool              `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (appSetCmd) Help() string {
	return `Example: quorate app set leanmessage.edit=on leanmessage.recall=on

"quorate app show" lists the settings. A change is seen by all nodes at once; users who are signed in see it when they sign in again.`
}

// Run changes the settings.
func (c *appSetCmd) Run(ctx context.Context, e *env) error {
	if err := door.CheckSettings(c.Settings); err != nil {
		return misused("%v", err)
	}
	return c.ask(ctx, e, question{http.MethodPatch, "/v1/app", node.AppChange{Settings: c.Settings}}, c.JSON)
}

type appCreateCmd struct {
	connection
	Name     string            `arg:"" optional:"" help:"For people."`
	Settings map[string]string `name:"setting" mapsep:"none" help:"A setting, as NAME=VALUE; may be given several times." placeholder:"NAME=VALUE"`
	JSON     bool              `name:"json" help:"Print JSON."`
}

// Help is what --help adds.
func (appCreateCmd) Help() string {
	return "It wants the master key of some app of the cluster. The new keys are printed now and never again."
}

// Run makes the app.
func (c *appCreateCmd) Run(ctx context.Context, e *env) error {
	if err := door.CheckSettings(c.Settings); err != nil {
		return misused("%v", err)
	}
	return c.ask(ctx, e, question{http.MethodPost, "/v1/apps", node.NewApp{Name: c.Name, Settings: c.Settings}}, c.JSON)
}

// ask asks for an app and prints it.
func (c connection) ask(ctx context.Context, e *env, q question, asJSON bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p, err := c.profile()
	if err != nil {
		return err
	}
	var a node.AppInfo
	if err := p.ask(ctx, q, &a); err != nil {
		return err
	}
	if asJSON {
		return e.printJSON(a)
	}
	return e.printApp(&a)
}

func (e *env) printApp(a *node.AppInfo) error {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "app\t%s\n", a.ID)
	if a.Name != "" {
		fmt.Fprintf(w, "name\t%s\n", a.Name)
	}
	if a.Key != "" {
		fmt.Fprintf(w, "key\t%s\nmaster key\t%s\n", a.Key, a.MasterKey)
	}
	fmt.Fprintln(w, "\nSETTING\tVALUE\tDEFAULT\tVALUES\tMEANING")
	others := maps.Clone(a.Settings)
	for _, s := range door.SettingsList() {
		value, ok := others[s.Name]
		if !ok {
			value = "-"
		}
		delete(others, s.Name)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, value, s.Default, s.Values, s.Help)
	}
	for _, name := range slices.Sorted(maps.Keys(others)) { // of newer nodes
		fmt.Fprintf(w, "%s\t%s\t?\t?\t?\n", name, others[name])
	}
	return w.Flush()
}
