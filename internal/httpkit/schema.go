package httpkit

import (
	"path"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// schemaNames names the types of the OpenAPI document. Two capabilities may
// both have a Message: a type is named after its package too, "OutreachMessage",
// unless it says so already or belongs to everybody (this package's). Bodies
// without a name of their own are numbered when they meet.
func schemaNames() func(reflect.Type, string) string {
	taken := map[string]reflect.Type{}
	return func(t reflect.Type, hint string) string {
		base := t
		for base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		name := huma.DefaultSchemaNamer(t, hint)
		if pkg := base.PkgPath(); pkg != "" && !strings.HasSuffix(pkg, "/httpkit") {
			prefix := path.Base(pkg)
			prefix = strings.ToUpper(prefix[:1]) + prefix[1:]
			if !strings.HasPrefix(name, prefix) {
				name = prefix + name
			}
		}
		unique := name
		for n := 2; ; n++ {
			other, is := taken[unique]
			if !is || other == base {
				break
			}
			unique = name + strconv.Itoa(n)
		}
		taken[unique] = base
		return unique
	}
}
