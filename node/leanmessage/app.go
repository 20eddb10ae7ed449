package leanmessage

import (
	"maps"

	"github.com/quorate/quorate/cluster"
	"github.com/quorate/quorate/node/auth"
	"github.com/quorate/quorate/node/door"
)

// tenant is an app as the sockets that are bound to it know it. It is shared and
// never changed.
type tenant struct {
	cluster.App
	settings door.Settings
}

// tenantOf returns the app's tenant, with the settings that it has now.
func (d *Door) tenantOf(app cluster.App) *tenant {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tenants[app.ID]
	if t == nil || t.Key != app.Key || t.MasterKey != app.MasterKey || !maps.Equal(t.Settings, app.Settings) {
		t = &tenant{App: app, settings: door.ParseSettings(app.Settings)}
		d.tenants[app.ID] = t
	}
	return t
}

func (t *tenant) keys() auth.Keys {
	return auth.Keys{Key: string(t.Key), MasterKey: string(t.MasterKey)}
}
