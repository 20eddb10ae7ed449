package state

// cache keeps what apply has decoded, by the row's key, in two generations:
// when the young one is full it becomes the old one, and the old one goes. A
// value that is used moves to the young one, so what is in use stays.
//
// Values are pointers that apply changes in place, which is write-through as
// long as nothing is dropped between a change and its row: [cache.rotate] is
// called only between two calls of Apply, when each change has its row, gathered
// or in the store. After a failed commit the State refuses to go on, so a value
// never outlives a change that was not written.
type cache[V any] struct {
	young, old map[string]*V
	limit      int // of one generation
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{young: map[string]*V{}, old: map[string]*V{}, limit: limit}
}

func (c *cache[V]) get(key []byte) *V {
	if v, ok := c.young[string(key)]; ok {
		return v
	}
	v, ok := c.old[string(key)]
	if ok {
		c.young[string(key)] = v
	}
	return v
}

func (c *cache[V]) put(key []byte, v *V) { c.young[string(key)] = v }

func (c *cache[V]) drop(key []byte) {
	delete(c.young, string(key))
	delete(c.old, string(key))
}

func (c *cache[V]) rotate() {
	if len(c.young) > c.limit {
		c.old, c.young = c.young, map[string]*V{}
	}
}

func (c *cache[V]) clear() {
	c.young, c.old = map[string]*V{}, map[string]*V{}
}
