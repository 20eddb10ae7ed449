package leanrest

import (
	"strings"
)

// describe answers the OpenAPI document of the routes.
func describe(*request) (any, error) { return document(), nil }

// document describes the routes as OpenAPI 3.1 has it.
func document() map[string]any {
	paths := map[string]map[string]any{}
	for _, r := range routes() {
		if paths[r.path] == nil {
			paths[r.path] = map[string]any{}
		}
		paths[r.path][strings.ToLower(r.method)] = operation(&r)
	}
	header := func(name, help string) map[string]any {
		return map[string]any{"type": "apiKey", "in": "header", "name": name, "description": help}
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Quorate: the LeanMessage REST API", "version": "1.2",
			"description": "What back ends ask for, in the dialect of LeanCloud's instant messaging. Not all of that dialect is here: what is not in this document is answered with 404.",
			"license":     map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers": []any{map[string]any{"url": "/", "description": "Any node"}},
		"paths":   paths,
		"components": map[string]any{
			"schemas":   schemas(),
			"responses": map[string]any{"Error": map[string]any{"description": "It is not done.", "content": content(ref("Error"))}},
			"securitySchemes": map[string]any{
				"app":     header("X-LC-Id", "The app's id."),
				"key":     header("X-LC-Key", "The app's key; or its master key, followed by \",master\"."),
				"sign":    header("X-LC-Sign", "Instead of X-LC-Key: MD5(time, key), then a comma and the time in milliseconds; with the master key, followed by \",master\"."),
				"session": header("X-LC-IM-Session-Token", "The token of an open session."),
			},
		},
	}
}

func schemas() map[string]any {
	text, number, flag := typed("string"), typed("integer"), typed("boolean")
	texts := map[string]any{"type": "array", "items": text}
	return map[string]any{
		"Error": shape(map[string]any{"code": number, "error": text}, "code", "error"),
		"Message": shape(map[string]any{
			"msg-id": text, "conv-id": text, "to": text, "from": text, "timestamp": number, "data": text, "bin": flag, "is-conv": flag, "is-room": flag,
			"from-ip": text, "ack-at": number, "patch-timestamp": number, "recall": flag, "mention-all": flag, "mention-client-ids": texts,
		}, "msg-id", "conv-id", "to", "from", "timestamp", "data", "bin", "is-conv", "is-room"),
		"Subscription": shape(map[string]any{"timestamp": number, "subscriber": text, "conv_id": text}, "timestamp", "subscriber", "conv_id"),
		"Conversation": shape(map[string]any{
			"objectId": text, "name": text, "m": texts, "mu": texts, "c": text, "attr": typed("object"), "unique": flag, "uniqueId": text,
			"tr": flag, "sys": flag, "lm": typed("object"), "createdAt": text, "updatedAt": text,
		}, "objectId"),
	}
}

func typed(name string) map[string]any { return map[string]any{"type": name} }

func shape(properties map[string]any, required ...string) map[string]any {
	o := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func ref(name string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + name}
}

// operation describes one route.
func operation(r *route) map[string]any {
	op := map[string]any{
		"operationId": operationID(r), "summary": r.does, "description": r.need.text(),
		"tags": []string{strings.Split(strings.Trim(r.path, "/"), "/")[0]},
	}
	var parameters []any
	for part := range strings.SplitSeq(r.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, map[string]any{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": typed("string")})
		}
	}
	for _, p := range parse(r.query) {
		one := map[string]any{"name": p.name, "in": "query", "schema": p.schema()}
		if p.required {
			one["required"] = true
		}
		parameters = append(parameters, one)
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if r.body != "" {
		op["requestBody"] = map[string]any{"required": strings.Contains(r.body, "!"), "content": content(fields(r.body))}
	}
	status := "200"
	if r.created {
		status = "201"
	}
	op["responses"] = map[string]any{
		status:    map[string]any{"description": "It is done.", "content": content(answerSchema(r.answer))},
		"default": map[string]any{"$ref": "#/components/responses/Error"},
	}
	op["security"] = r.need.security()
	return op
}

func content(schema map[string]any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": schema}}
}

func operationID(r *route) string {
	replaced := strings.NewReplacer("/", "_", "{", "", "}", "", ".", "_", "-", "_").Replace(strings.Trim(r.path, "/"))
	return strings.ToLower(r.method) + "_" + replaced
}

// parameter is a named value: "name", "name!" if it must be there, "name:type".
type parameter struct {
	name, kind string
	required   bool
}

func parse(text string) []parameter {
	var list []parameter
	for one := range strings.FieldsSeq(text) {
		name, kind, _ := strings.Cut(one, ":")
		name, required := strings.CutSuffix(name, "!")
		list = append(list, parameter{name, kind, required})
	}
	return list
}

func (p parameter) schema() map[string]any {
	switch p.kind {
	case "":
		return typed("string")
	case "strings":
		return map[string]any{"type": "array", "items": typed("string")}
	case "objects":
		return map[string]any{"type": "array", "items": typed("object")}
	default:
		return typed(p.kind)
	}
}

func fields(text string) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, p := range parse(text) {
		properties[p.name] = p.schema()
		if p.required {
			required = append(required, p.name)
		}
	}
	return shape(properties, required...)
}

func answerSchema(answer string) map[string]any {
	list := func(of string) map[string]any { return map[string]any{"type": "array", "items": ref(of)} }
	switch answer {
	case "nothing", "document":
		return typed("object")
	case "boolean":
		return typed("boolean")
	case "object":
		return ref("Conversation")
	case "messages":
		return list("Message")
	case "subscriptions":
		return list("Subscription")
	default:
		return fields(answer)
	}
}

func (n need) text() string {
	switch n {
	case needNothing:
		return "Anybody may ask."
	case needKey:
		return "A key of the app is enough. Messages want the master key, unless the app has set leanmessage.sign.history and the request shows a signature."
	case needSession:
		return "A key of the app is wanted, and the token of an open session."
	case needOpen:
		return "It wants the master key; or any key of the app, if the app has set leanmessage.rest.open."
	default:
		return "It wants the master key."
	}
}

func (n need) security() []any {
	if n == needNothing {
		return []any{}
	}
	var all []any
	for _, proof := range []string{"key", "sign"} {
		one := map[string]any{"app": []string{}, proof: []string{}}
		if n == needSession {
			one["session"] = []string{}
		}
		all = append(all, one)
	}
	return all
}
