package server

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/quorddb/quord/internal/resp"
)

// appendTree appends v as RESP3 by the names of its json tags: structs become maps, slices arrays, nil pointers null. So
// the QUORD commands and --json show the same shapes.
func appendTree(out []byte, v any) []byte { return appendValue(out, reflect.ValueOf(v)) }

func appendValue(out []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return resp.AppendNull(out)
		}
		return appendValue(out, v.Elem())
	case reflect.Struct:
		out = resp.AppendMap(out, v.NumField())
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			out = resp.AppendBulk(out, name)
			out = appendValue(out, v.Field(i))
		}
		return out
	case reflect.Slice:
		out = resp.AppendArray(out, v.Len())
		for i := range v.Len() {
			out = appendValue(out, v.Index(i))
		}
		return out
	case reflect.String:
		return resp.AppendBulk(out, v.String())
	case reflect.Bool:
		return resp.AppendBool(out, v.Bool())
	case reflect.Int, reflect.Int64:
		return resp.AppendInt(out, v.Int())
	case reflect.Uint64:
		return resp.AppendInt(out, int64(v.Uint()))
	case reflect.Float64:
		return resp.AppendDouble(out, v.Float())
	}
	panic(fmt.Sprintf("server: %s has no form in RESP", v.Type()))
}
