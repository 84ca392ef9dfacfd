package sample

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

type object = map[string]any

// document returns what a manifest says as plain values.
func document(m *manifest.Manifest) object {
	inputs := []any{}
	for _, in := range m.Plan.Inputs {
		inputs = append(inputs, object{
			"role": in.Role, "source": in.Source, "path": in.Path, "format": in.Format, "size": in.Size,
			"records": in.Records, "sha256": in.SHA256, "blake3": in.BLAKE3,
		})
	}
	e, reports := m.Environment, m.Reports
	var release any
	if r := m.Release; r != nil {
		release = object{
			"bundle_id": r.BundleID, "created": r.Created, "of": r.Of, "policy": r.Policy,
			"contents": plain(r.Contents), "signers": plain(r.Signers),
		}
	}
	return object{
		"schema": "omphalos.manifest/1", "run_id": m.RunID, "name": m.Name, "created": m.Created,
		"tool": object{"name": m.ToolName, "version": m.ToolVersion},
		"plan": object{"id": m.Plan.ID, "inputs": inputs, "config": m.Plan.Config, "method": m.Plan.Method},
		"environment": object{
			"python": e.Python, "platform": e.Platform, "locale": e.Locale, "timezone": e.Timezone,
			"cpu_count": e.CPUCount, "packages": plain(e.Packages),
		},
		"tree": m.Tree, "merkle_root": m.MerkleRoot, "artifacts": files(m.Artifacts), "control": files(m.Control),
		"reports": object{
			"validation": reports.Validation, "matching": reports.Matching, "scoring": reports.Scoring,
			"policy": reports.Policy,
		},
		"release": release,
	}
}

func files(all []manifest.File) []any {
	list := []any{}
	for _, f := range all {
		one := object{
			"path": f.Path, "role": f.Role, "media_type": f.MediaType, "size": f.Size, "sha256": f.SHA256,
			"blake3": f.BLAKE3,
		}
		if f.Table != nil && f.Table.Rows != nil {
			one["rows"] = *f.Table.Rows
		}
		if f.Table != nil && f.Table.Fingerprint != "" {
			one["fingerprint"] = f.Table.Fingerprint
		}
		if f.Table != nil && f.Table.Key != nil {
			key := []any{}
			for _, column := range f.Table.Key {
				key = append(key, column)
			}
			one["key"] = key
		}
		list = append(list, one)
	}
	return list
}

// plain returns the value of a checked piece of JSON.
func plain(text string) any {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(err)
	}
	return value
}

// spelled writes a value by the rules of docs/format/manifest.md; indent is a line end and the blanks behind it.
func spelled(value any, indent string) string {
	var items []string
	switch v := value.(type) {
	case string:
		return strictjson.Quote(v)
	case uint64:
		return strconv.FormatUint(v, 10)
	case *string:
		if v == nil {
			return "null"
		}
		return strictjson.Quote(*v)
	case nil:
		return "null"
	case object:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, strictjson.Quote(key)+": "+spelled(v[key], indent+"  "))
		}
		return between("{}", items, indent)
	case []any:
		for _, item := range v {
			items = append(items, spelled(item, indent+"  "))
		}
		return between("[]", items, indent)
	}
	panic("no value of a manifest")
}

func between(brackets string, items []string, indent string) string {
	if len(items) == 0 {
		return brackets
	}
	within := indent + "  "
	return brackets[:1] + within + strings.Join(items, ","+within) + indent + brackets[1:]
}
