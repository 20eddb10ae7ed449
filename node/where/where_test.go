package where_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate/quorate/node/where"
)

const tea = `{
	"objectId": "5a0000000000000000000001", "name": "Tea at five", "c": "ann", "m": ["ann", "bob"], "mu": [],
	"lm": {"__type": "Date", "iso": "2020-05-26T06:42:31.492Z"}, "createdAt": "2020-05-01T00:00:00.000Z",
	"attr": {"topic": "tea", "level": 3, "tags": ["hot", "dry"], "deep": {"er": true}, "none": null},
	"tr": false, "place": {"__type": "GeoPoint", "latitude": 39.9, "longitude": 116.4},
	"guests": [{"name": "carl", "age": 30}, {"name": "dora", "age": 20}]
}`

// TestLM028_Match holds queries against one document: each operator with a case
// that holds and one that does not.
func TestLM028_Match(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal([]byte(tea), &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query string
		want  bool
	}{
		{``, true},
		{`{}`, true},
		{`{"name":"Tea at five"}`, true},
		{`{"name":"Tea"}`, false},
		{`{"name":{"$eq":"Tea at five"}}`, true},
		{`{"m":"ann"}`, true}, // equality on a list means that it is in it
		{`{"m":"eve"}`, false},
		{`{"m":["ann","bob"]}`, true},
		{`{"m":["bob","ann"]}`, false},
		{`{"attr.topic":"tea"}`, true},
		{`{"attr.topic":"coffee"}`, false},
		{`{"attr.deep.er":true}`, true},
		{`{"attr.deep":{"er":true}}`, true},
		{`{"attr.deep":{"er":false}}`, false},
		{`{"attr.deep":{}}`, false},
		{`{"attr.level":3}`, true},
		{`{"attr.level":"3"}`, false},
		{`{"tr":false}`, true},
		{`{"tr":true}`, false},
		{`{"absent":null}`, true},
		{`{"attr.none":null}`, true},
		{`{"name":null}`, false},
		{`{"guests.name":"carl"}`, true},
		{`{"guests.1.name":"carl"}`, false},
		{`{"guests.1.name":"dora"}`, true},
		{`{"name":{"$ne":"x"}}`, true},
		{`{"name":{"$ne":"Tea at five"}}`, false},
		{`{"m":{"$ne":"ann"}}`, false},
		{`{"absent":{"$ne":1}}`, true},
		{`{"attr.level":{"$lt":4}}`, true},
		{`{"attr.level":{"$lt":3}}`, false},
		{`{"attr.level":{"$lte":3}}`, true},
		{`{"attr.level":{"$gt":3}}`, false},
		{`{"attr.level":{"$gt":2,"$lt":4}}`, true}, // several operators on one key
		{`{"attr.level":{"$gt":2,"$lt":3}}`, false},
		{`{"attr.level":{"$gte":"3"}}`, false}, // of another type
		{`{"name":{"$gt":"Tea"}}`, true},
		{`{"lm":{"$gt":{"__type":"Date","iso":"2020-05-26T06:42:31.491Z"}}}`, true},
		{`{"lm":{"$gt":{"__type":"Date","iso":"2020-05-26T06:42:31.492Z"}}}`, false},
		{`{"lm":{"$gte":{"__type":"Date","iso":"2020-05-26T14:42:31.492+08:00"}}}`, true},
		{`{"createdAt":{"$lt":{"__type":"Date","iso":"2020-05-02T00:00:00.000Z"}}}`, true}, // a column that is a text
		{`{"createdAt":{"$lt":{"__type":"Date","iso":"2020-04-30T00:00:00.000Z"}}}`, false},
		{`{"createdAt":{"__type":"Date","iso":"2020-05-01T00:00:00.000Z"}}`, true},
		{`{"name":{"$lt":{"__type":"Date","iso":"2020-04-30T00:00:00.000Z"}}}`, false},
		{`{"name":{"$in":["x","Tea at five"]}}`, true},
		{`{"name":{"$in":["x"]}}`, false},
		{`{"name":{"$in":[]}}`, false},
		{`{"m":{"$in":["eve","bob"]}}`, true},
		{`{"absent":{"$in":[null]}}`, true},
		{`{"objectId":{"$in":["1","2","3","4","5","6","7","8","5a0000000000000000000001"]}}`, true},
		{`{"objectId":{"$in":["1","2","3","4","5","6","7","8","9"]}}`, false},
		{`{"name":{"$nin":["x"]}}`, true},
		{`{"m":{"$nin":["bob"]}}`, false},
		{`{"absent":{"$nin":["x"]}}`, true},
		{`{"m":{"$all":["bob","ann"]}}`, true},
		{`{"m":{"$all":["bob","eve"]}}`, false},
		{`{"m":{"$all":[]}}`, false},
		{`{"m":{"$size":2}}`, true},
		{`{"m":{"$size":1}}`, false},
		{`{"name":{"$size":1}}`, false},
		{`{"m":{"$size":2,"$all":["ann","bob"]}}`, true}, // withMembers
		{`{"attr.topic":{"$exists":true}}`, true},
		{`{"attr.topic":{"$exists":false}}`, false},
		{`{"absent":{"$exists":false}}`, true},
		{`{"name":{"$regex":"^Tea"}}`, true},
		{`{"name":{"$regex":"^tea"}}`, false},
		{`{"name":{"$regex":"^tea","$options":"i"}}`, true},
		{`{"name":{"$regex":"^Tea","$options":""}}`, true},
		{`{"name":{"$regex":"\\QTea at\\E"}}`, true},
		{`{"name":{"$regex":"\\Q(?=\\E"}}`, false},
		{`{"attr.tags":{"$regex":"^d"}}`, true},
		{`{"attr.level":{"$regex":"3"}}`, false},
		{`{"name":{"$not":{"$regex":"^tea"}}}`, true},
		{`{"attr.level":{"$not":{"$gt":2,"$lt":4}}}`, false},
		{`{"$and":[{"tr":false},{"m":"ann"}]}`, true},
		{`{"$and":[{"tr":false},{"m":"eve"}]}`, false},
		{`{"$or":[{"tr":true},{"m":"ann"}]}`, true},
		{`{"$or":[{"tr":true},{"m":"eve"}]}`, false},
		{`{"$or":[{"tr":true},{"m":"ann"}],"name":"x"}`, false},
		{`{"$nor":[{"tr":true},{"m":"eve"}]}`, true},
		{`{"$nor":[{"tr":false},{"m":"eve"}]}`, false},
		{`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":39.9,"longitude":116.4}}}`, true},
		{`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":39,"longitude":116.4},"$maxDistanceInKilometers":101}}`, true},
		{`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":39,"longitude":116.4},"$maxDistanceInKilometers":99}}`, false},
		{`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":39,"longitude":116.4},"$maxDistanceInMiles":63}}`, true},
		{`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":39,"longitude":116.4},"$maxDistance":0.01}}`, false},
		{`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":39,"longitude":116.4},"$minDistanceInKilometers":101}}`, false},
		{`{"absent":{"$nearSphere":{"__type":"GeoPoint","latitude":39,"longitude":116.4}}}`, false},
		{`{"place":{"$within":{"$box":[{"__type":"GeoPoint","latitude":39,"longitude":116},{"__type":"GeoPoint","latitude":40,"longitude":117}]}}}`, true},
		{`{"place":{"$within":{"$box":[{"__type":"GeoPoint","latitude":39,"longitude":117},{"__type":"GeoPoint","latitude":40,"longitude":118}]}}}`, false},
		{`{"place":{"$within":{"$box":[{"__type":"GeoPoint","latitude":39,"longitude":116},{"__type":"GeoPoint","latitude":40,"longitude":-170}]}}}`, true}, // over the date line
	} {
		q, err := where.Parse([]byte(c.query))
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if got := q.Match(doc); got != c.want {
			t.Errorf("%s: matches: %v, want %v", c.query, got, c.want)
		}
	}
}

// TestLM028_Refused holds what cannot be answered against what the refusal must
// say.
func TestLM028_Refused(t *testing.T) {
	for _, c := range []struct{ query, says string }{
		{`[`, "unexpected end"},
		{`[]`, "array"},
		{`{"":1}`, "key is empty"},
		{`{"$where":"1"}`, "$where is not supported"},
		{`{"$or":[]}`, "$or wants a list"},
		{`{"$or":{"a":1}}`, "$or wants a list"},
		{`{"a":{"$inQuery":{"where":{},"className":"x"}}}`, "$inQuery is not supported"},
		{`{"a":{"$select":{}}}`, "$select is not supported"},
		{`{"$relatedTo":{}}`, "$relatedTo is not supported"},
		{`{"a":{"$in":1}}`, "$in wants a list (of a)"},
		{`{"a":{"$size":1.5}}`, "$size wants"},
		{`{"a":{"$exists":"x"}}`, "$exists wants"},
		{`{"a":{"$regex":1}}`, "$regex wants"},
		{`{"a":{"$regex":"("}}`, "$regex: "},
		{`{"a":{"$regex":"a(?!b)"}}`, "(?!…) is not supported"},
		{`{"a":{"$regex":"(?<=b)a"}}`, "(?<=…) is not supported"},
		{`{"a":{"$regex":"a","$options":"x"}}`, `"x" is not supported`},
		{`{"a":{"$options":"i"}}`, "$options without $regex"},
		{`{"a":{"$maxDistance":1}}`, "without $nearSphere"},
		{`{"a":{"$nearSphere":1}}`, "GeoPoint"},
		{`{"a":{"$within":{"$polygon":[]}}}`, "$box"},
		{`{"a":{"$gt":1,"b":2}}`, "b is not supported"},
		{`{"a":{"$regex":"` + strings.Repeat("a", 513) + `"}}`, "at most 512"},
		{`{"a":{"$in":[` + strings.Repeat("1,", 1000) + `1]}}`, "at most 1000"},
		{`{"a":"` + strings.Repeat("a", where.MaxBytes) + `"}`, "at most 65536"},
		{`{"$or":[` + strings.Repeat(`{"a":1},`, 128) + `{"a":1}]}`, "more than 128"},
		{strings.Repeat(`{"$or":[`, 10) + `{"a":1}` + strings.Repeat(`]}`, 10), "nested"},
		{strings.Repeat(`{"a":{"$not":`, 1) + strings.Repeat(`{"$not":`, 10) + `{"$gt":1}` + strings.Repeat(`}`, 12), "$not"},
	} {
		_, err := where.Parse([]byte(c.query))
		if !errors.Is(err, where.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.80s: %v, want an invalid query that says %q", c.query, err, c.says)
		}
	}
}

func TestPlan(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{`{}`, "scan"},
		{`{"name":"x"}`, "scan"},
		{`{"objectId":"a"}`, "ids [a]"},
		{`{"objectId":"a","name":"x"}`, "ids [a]"},
		{`{"objectId":{"$in":["b","a","b"]}}`, "ids [a b]"},
		{`{"objectId":{"$in":["b","a"]},"$and":[{"objectId":{"$in":["c","b"]}}]}`, "ids [b]"},
		{`{"objectId":{"$in":[1]}}`, "ids []"},
		{`{"objectId":{"$ne":"a"}}`, "scan"},
		{`{"objectId":{"$regex":"a"}}`, "scan"},
		{`{"$or":[{"objectId":"a"},{"objectId":"b","m":"ann"}]}`, "ids [a b]"},
		{`{"$or":[{"objectId":"a"},{"m":"ann"}]}`, "scan"},
		{`{"$nor":[{"objectId":"a"}]}`, "scan"},
		{`{"m":"ann"}`, "member ann"},
		{`{"m":{"$all":["bob","ann"]}}`, "member ann"},
		{`{"m":{"$all":["bob","eve"]}}`, "member bob"},
		{`{"m":{"$size":2,"$all":["bob","eve"]}}`, "member bob"},
		{`{"m":["bob","ann"]}`, "member ann"},
		{`{"m":{"$in":["bob"]}}`, "member bob"},
		{`{"m":{"$in":["bob","ann"]}}`, "scan"},
		{`{"m":{"$ne":"ann"}}`, "scan"},
		{`{"m":{"$size":2}}`, "scan"},
		{`{"$and":[{"m":"bob"},{"m":"ann"}]}`, "member ann"},
		{`{"$or":[{"m":"bob"},{"m":"ann"}]}`, "scan"},
	} {
		q, err := where.Parse([]byte(c.query))
		if err != nil {
			t.Fatalf("%s: %v", c.query, err)
		}
		got := "scan"
		switch p := q.Plan("ann"); {
		case p.ByID:
			got = fmt.Sprintf("ids %v", p.IDs)
		case p.Member != "":
			got = "member " + p.Member
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.query, got, c.want)
		}
	}
}

func TestSort(t *testing.T) {
	docs := []map[string]any{
		{"objectId": "1", "name": "b", "n": 2.0, "lm": date("2020-01-02")},
		{"objectId": "2", "name": "a", "n": 10.0, "lm": date("2020-01-03")},
		{"objectId": "3", "name": "b", "n": 1.0},
		{"objectId": "4", "n": "x", "lm": date("2020-01-01"), "place": map[string]any{"__type": "GeoPoint", "latitude": 1.0, "longitude": 1.0}},
	}
	for _, c := range []struct{ query, sort, want string }{
		{`{}`, "", "2 1 4 3"},
		{`{}`, "lm", "3 4 1 2"},
		{`{}`, "name", "4 2 1 3"},
		{`{}`, "-name,n", "3 1 2 4"},
		{`{}`, " -n ", "4 2 1 3"},
		{`{}`, "objectId", "1 2 3 4"},
		{`{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":1}}}`, "", "4 1 2 3"},
	} {
		q, err := where.Parse([]byte(c.query))
		if err != nil {
			t.Fatal(err)
		}
		order, err := where.ParseSort(c.sort, q)
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.SortedFunc(slices.Values(docs), func(a, b map[string]any) int {
			return order.Compare(order.PlaceOf(a), order.PlaceOf(b))
		})
		var ids []string
		for _, d := range sorted {
			ids = append(ids, d["objectId"].(string))
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%s sorted by %q: %s, want %s", c.query, c.sort, got, c.want)
		}
	}
	for _, bad := range []string{"-", "a,-", strings.Repeat("a,", 9)} {
		if _, err := where.ParseSort(bad, &where.Query{}); !errors.Is(err, where.ErrInvalid) {
			t.Errorf("sort %q: %v, want it invalid", bad, err)
		}
	}
}

func date(day string) any {
	return map[string]any{"__type": "Date", "iso": day + "T00:00:00.000Z"}
}

// FuzzParse reads whatever it is given, and holds plans to their promise: no
// match lies where the plan does not look.
func FuzzParse(f *testing.F) {
	f.Add(`{"m":"ann"}`, tea)
	f.Add(`{"$or":[{"objectId":"a"},{"objectId":{"$in":["b",null]}}]}`, `{"objectId":"b","m":["x"]}`)
	f.Add(`{"a":{"$nearSphere":{"__type":"GeoPoint","latitude":1,"longitude":1},"$maxDistance":3}}`, `{"a":[{"__type":"GeoPoint","latitude":1,"longitude":1}]}`)
	f.Add(`{"m":{"$not":{"$all":["ann",{"__type":"Date","iso":"2020-05-01T00:00:00.000Z"}]}},"n":{"$regex":"\\Qx\\E","$options":"is"}}`, `{}`)
	f.Fuzz(func(t *testing.T, query, text string) {
		q, err := where.Parse([]byte(query))
		if err != nil {
			return
		}
		var doc map[string]any
		if json.Unmarshal([]byte(text), &doc) != nil || !q.Match(doc) {
			return
		}
		id, isText := doc["objectId"].(string)
		p := q.Plan("ann")
		if p.ByID && isText && !slices.Contains(p.IDs, id) {
			t.Errorf("%s matches %s, but the plan looks only for %v", query, text, p.IDs)
		}
		members, ok := texts(doc["m"])
		if ok && p.Member != "" && !slices.Contains(members, p.Member) {
			t.Errorf("%s matches %s, but the plan looks only for what %s is in", query, text, p.Member)
		}
	})
}

func texts(v any) ([]string, bool) {
	listed, ok := v.([]any)
	var out []string
	for _, one := range listed {
		s, isText := one.(string)
		out, ok = append(out, s), ok && isText
	}
	return out, ok
}

// TestAPlaceKeepsNoLists: who sorts many documents keeps their places, by columns
// that may be large.
func TestAPlaceKeepsNoLists(t *testing.T) {
	docs := []map[string]any{
		{"objectId": "1", "attr": []any{"a"}}, {"objectId": "2", "attr": map[string]any{"a": 1.0}}, {"objectId": "3", "attr": "a"}, {"objectId": "4"},
	}
	order, err := where.ParseSort("attr", &where.Query{})
	if err != nil {
		t.Fatal(err)
	}
	places := make([]where.Place, len(docs))
	for i, doc := range docs {
		places[i] = order.PlaceOf(doc)
		if text := fmt.Sprint(places[i]); strings.Contains(text, "map[") || strings.Contains(text, "[[") {
			t.Errorf("the place of %v keeps it: %s", doc, text)
		}
	}
	for i, before := range [][2]int{{3, 2}, {2, 1}, {1, 0}} {
		if order.Compare(places[before[0]], places[before[1]]) >= 0 {
			t.Errorf("%d: document %d does not come before document %d", i, before[0]+1, before[1]+1)
		}
	}
}

// TestRegexBombs are short, and would take seconds for one text.
func TestRegexBombs(t *testing.T) {
	bomb := `"(.{0,30}){0,30}[^a]$"`
	for text, ok := range map[string]bool{
		`{"a":{"$regex":` + bomb + `}}`: true,
		`{"$or":[{"a":{"$regex":` + bomb + `}},{"b":{"$regex":` + bomb + `}},{"c":{"$regex":` + bomb + `}}]}`:   false,
		`{"a":{"$regex":"` + strings.Repeat("x", 500) + `"},"b":{"$regex":"` + strings.Repeat("y", 500) + `"}}`: true,
	} {
		if _, err := where.Parse([]byte(text)); (err == nil) != ok {
			t.Errorf("%.60s…: %v, want it good %t", text, err, ok)
		}
	}
}
