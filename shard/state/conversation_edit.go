package state

import (
	"errors"
	"slices"
	"strings"

	"github.com/quorate/quorate/shard/jsonop"
)

// An edit is a conversation's name and properties while an update changes them.
type edit struct {
	name       string
	properties []Property
	docs       map[string]any // decoded values of properties; of one that is not there, absent
	touched    [][]string     // what was changed, as keys from the property's name on
	named      bool           // the name was
}

// absent stands for the value of a property that is not there.
type absent struct{}

// namePath is the path of the name. A property of this name cannot be reached by
// operations.
const namePath = "name"

var (
	errChangePath = errors.New("the path of a change is empty or too long, or has an empty key")
	errChangeName = errors.New("a conversation's name is a string")
)

func newEdit(info *Info) *edit {
	return &edit{name: info.Name, properties: info.Properties, docs: map[string]any{}}
}

// all does everything that an update asks for, or refuses.
func (e *edit) all(c *UpdateConversation) Result {
	values := 0
	for i := range c.Changes {
		values += len(c.Changes[i].Value)
	}
	if len(c.Sent) > maxSentBytes || values > 2*maxPropertyBytes {
		return refuse(Limit, "the change is too large")
	}
	if c.SetName {
		e.name, e.named = c.Name, true
	}
	if len(c.Set)+len(c.Unset) > 0 {
		e.properties = changedProperties(e.properties, c.Set, c.Unset)
	}
	for _, p := range c.Set {
		e.touched = append(e.touched, []string{p.Name})
	}
	for i := range c.Changes {
		if err := e.do(&c.Changes[i]); err != nil {
			return refuse(Invalid, err.Error())
		}
	}
	if err := e.encode(); err != nil {
		return refuse(Invalid, err.Error())
	}
	return checkInfo(e.name, e.properties)
}

// do does one operation.
func (e *edit) do(c *Change) error {
	keys := strings.Split(c.Path, ".")
	if len(c.Path) > maxChangePath || slices.Contains(keys, "") {
		return errChangePath
	}
	var value any
	if c.Op != ChangeDelete {
		var err error
		if value, err = jsonop.Decode(c.Value); err != nil {
			return err
		}
	}
	if c.Path == namePath {
		return e.rename(c.Op, value)
	}
	if keys[0] == namePath {
		return errChangeName
	}
	old, present, err := e.doc(keys[0])
	if err != nil {
		return err
	}
	changed, there, err := jsonop.Apply(old, present, keys[1:], c.Op, value)
	if err != nil {
		return err
	}
	e.docs[keys[0]] = absent{}
	if there {
		e.docs[keys[0]] = changed
	}
	e.touched = append(e.touched, keys)
	return nil
}

func (e *edit) rename(op ChangeOp, value any) error {
	name, ok := value.(string)
	if op != ChangeDelete && (op != ChangeSet || !ok) {
		return errChangeName
	}
	e.name, e.named = name, true
	return nil
}

// doc returns a property's value as it is by now.
func (e *edit) doc(name string) (value any, present bool, err error) {
	if v, ok := e.docs[name]; ok {
		_, gone := v.(absent)
		return v, !gone, nil
	}
	i, found := findProperty(e.properties, name)
	if !found {
		return nil, false, nil
	}
	value, err = jsonop.Decode(e.properties[i].Value)
	return value, err == nil, err
}

// encode writes the values that operations have changed back.
func (e *edit) encode() error {
	var set []Property
	var unset []string
	for _, name := range sortedKeys(e.docs) {
		if _, gone := e.docs[name].(absent); gone {
			unset = append(unset, name)
			continue
		}
		value, err := jsonop.Encode(e.docs[name])
		if err != nil {
			return err
		}
		set = append(set, Property{Name: name, Value: value})
	}
	if len(set)+len(unset) > 0 {
		e.properties = changedProperties(e.properties, set, unset)
	}
	return nil
}

// changed is the JSON object that tells what was touched: what is there now, at
// its place. What was deleted is absent, and so is what is no JSON.
func (e *edit) changed() ([]byte, error) {
	told := map[string]any{}
	if e.named {
		told[namePath] = e.name
	}
	for _, keys := range e.touched {
		doc, ok, err := e.doc(keys[0])
		if err != nil || !ok || keys[0] == namePath {
			continue
		}
		v, ok := jsonop.Get(doc, keys[1:])
		if !ok {
			continue
		}
		// Nothing is in the way: whatever was told before is as it is now, too.
		if _, _, err := jsonop.Apply(told, true, keys, ChangeSet, v); err != nil {
			return nil, err
		}
	}
	return jsonop.Encode(told)
}
