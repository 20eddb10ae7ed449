package where

import (
	"math"
	"strings"
)

const (
	earthKilometers = 6371.0
	earthMiles      = 3958.8
)

// near is a condition that a place lies near another, but not too near.
type near struct {
	at          path
	center      point
	least, most float64 // radians
}

func (n *near) match(doc map[string]any) bool {
	d := n.distance(doc)
	return d >= n.least && d <= n.most
}

// distance is that of the document's nearest place, in radians; infinite where
// there is none.
func (n *near) distance(doc map[string]any) float64 {
	nearest := math.Inf(1)
	for _, v := range n.at.values(doc) {
		if p, ok := normal(v).(point); ok {
			nearest = min(nearest, n.center.radiansTo(p))
		}
	}
	return nearest
}

func (p point) radiansTo(other point) float64 {
	const degree = math.Pi / 180
	a, b := p.latitude*degree, other.latitude*degree
	north, east := math.Sin((b-a)/2), math.Sin((other.longitude-p.longitude)*degree/2)
	h := north*north + math.Cos(a)*math.Cos(b)*east*east
	return 2 * math.Asin(math.Sqrt(min(1, h)))
}

// box is a condition that a place lies between two others.
type box struct {
	at                   path
	southwest, northeast point
}

func (b *box) match(doc map[string]any) bool {
	for _, v := range b.at.values(doc) {
		p, ok := normal(v).(point)
		if !ok || p.latitude < b.southwest.latitude || p.latitude > b.northeast.latitude {
			continue
		}
		west, east := b.southwest.longitude, b.northeast.longitude
		if west <= east && p.longitude >= west && p.longitude <= east || west > east && (p.longitude >= west || p.longitude <= east) {
			return true
		}
	}
	return false
}

// distance reads an operator beside $nearSphere: whether it is the greatest or
// the least distance, and its unit in radians.
func distance(op string) (most bool, unit float64, ok bool) {
	kind, in, _ := strings.Cut(op, "In")
	switch in {
	case "", "Radians":
		unit = 1
	case "Kilometers":
		unit = 1 / earthKilometers
	case "Miles":
		unit = 1 / earthMiles
	}
	return kind == "$maxDistance", unit, unit != 0 && (kind == "$maxDistance" || kind == "$minDistance")
}

// geo parses the operators about places.
func (p *parser) geo(at path, op string, ops map[string]any) (condition, error) {
	switch op {
	case "$nearSphere":
		n, err := nearSphere(at, ops)
		if err == nil && p.q.near == nil {
			p.q.near = n
		}
		return n, err
	case "$within":
		return within(at, ops[op])
	}
	if _, _, ok := distance(op); !ok {
		return nil, invalid("%s is not supported", op)
	}
	if _, ok := ops["$nearSphere"]; !ok {
		return nil, invalid("%s without $nearSphere", op)
	}
	return nil, nil
}

func nearSphere(at path, ops map[string]any) (*near, error) {
	center, ok := normal(ops["$nearSphere"]).(point)
	if !ok {
		return nil, invalid("$nearSphere wants a GeoPoint")
	}
	n := &near{at: at, center: center, most: math.MaxFloat64}
	for op, arg := range ops {
		most, unit, ok := distance(op)
		if !ok {
			continue
		}
		v, ok := arg.(float64)
		switch {
		case !ok || v < 0:
			return nil, invalid("%s wants a number", op)
		case most:
			n.most = min(n.most, v*unit)
		default:
			n.least = max(n.least, v*unit)
		}
	}
	return n, nil
}

func within(at path, arg any) (condition, error) {
	shape, _ := arg.(map[string]any)
	corners, _ := shape["$box"].([]any)
	if len(shape) != 1 || len(corners) != 2 {
		return nil, invalid("$within wants a $box of two GeoPoints")
	}
	southwest, ok1 := normal(corners[0]).(point)
	northeast, ok2 := normal(corners[1]).(point)
	if !ok1 || !ok2 {
		return nil, invalid("$within wants a $box of two GeoPoints")
	}
	return &box{at: at, southwest: southwest, northeast: northeast}, nil
}
