package qdranttest

import (
	"fmt"
	"slices"
	"strings"

	pb "github.com/qdrant/go-client/qdrant"
)

func (c *collection) strictly() *pb.StrictModeConfig {
	if c.strict.GetEnabled() {
		return c.strict
	}
	return &pb.StrictModeConfig{}
}

// admit checks a filter: its form, what strict mode says of it, and that it names one
// tenant, which it returns. update says that the filter selects what is changed.
func (c *collection) admit(f *pb.Filter, update bool) (tenant string, err error) {
	strict := c.strictly()
	allowed := strict.UnindexedFilteringRetrieve
	if update {
		allowed = strict.UnindexedFilteringUpdate
	}
	conditions := uint64(0)
	err = visit(f, "", func(key string, types []pb.PayloadSchemaType, size int) error {
		conditions++
		if most := strict.ConditionMaxSize; most != nil && uint64(size) > *most {
			return invalid("Forbidden: condition limit exceeded %d > %d", size, *most)
		}
		if types == nil || allowed == nil || *allowed {
			return nil
		}
		index, indexed := c.indexes[key]
		if indexed && slices.Contains(types, index.GetDataType()) {
			return nil
		}
		return invalid("Bad request: Index required but not found for %q of one of the following types: %v. Help: Create an index for this key or use a different filter.", key, types)
	})
	if err != nil {
		return "", err
	}
	if most := strict.FilterMaxConditions; most != nil && conditions > *most {
		return "", invalid("Forbidden: filter has %d conditions, at most %d are allowed", conditions, *most)
	}
	if c.tenant == "" {
		return "", nil
	}
	for _, condition := range f.GetMust() {
		if field := condition.GetField(); field.GetKey() == c.tenant && field.GetMatch().GetKeyword() != "" {
			if tenant != "" {
				return "", invalid("contract: two conditions on the tenant")
			}
			tenant = field.GetMatch().GetKeyword()
		}
	}
	if tenant == "" {
		return "", invalid("contract: a request to %s without the condition that %s is one tenant", c.name, c.tenant)
	}
	return tenant, nil
}

// visit calls fn with each condition's key, the types of index that serve it (nil: it
// needs none), and how many values it has.
func visit(f *pb.Filter, prefix string, fn func(key string, types []pb.PayloadSchemaType, size int) error) error {
	for _, condition := range slices.Concat(f.GetMust(), f.GetMustNot(), f.GetShould(), f.GetMinShould().GetConditions()) {
		if err := visitCondition(condition, prefix, fn); err != nil {
			return err
		}
	}
	return nil
}

func visitCondition(condition *pb.Condition, prefix string, fn func(string, []pb.PayloadSchemaType, int) error) error {
	every := []pb.PayloadSchemaType{
		pb.PayloadSchemaType_Keyword, pb.PayloadSchemaType_Integer, pb.PayloadSchemaType_Float, pb.PayloadSchemaType_Datetime,
		pb.PayloadSchemaType_Bool, pb.PayloadSchemaType_Text, pb.PayloadSchemaType_Uuid,
	}
	switch c := condition.GetConditionOneOf().(type) {
	case *pb.Condition_Field:
		types, size, err := indexFor(c.Field)
		if err != nil {
			return err
		}
		return fn(prefix+c.Field.GetKey(), types, size)
	case *pb.Condition_IsEmpty:
		return fn(prefix+c.IsEmpty.GetKey(), every, 1)
	case *pb.Condition_IsNull:
		return fn(prefix+c.IsNull.GetKey(), every, 1)
	case *pb.Condition_HasId:
		for _, id := range c.HasId.GetHasId() {
			if _, err := idKey(id); err != nil {
				return err
			}
		}
		return fn("", nil, len(c.HasId.GetHasId()))
	case *pb.Condition_Filter:
		return visit(c.Filter, prefix, fn)
	case *pb.Condition_Nested:
		return visit(c.Nested.GetFilter(), prefix+strings.TrimSuffix(c.Nested.GetKey(), "[]")+"[].", fn)
	default:
		return invalid("Malformed Condition: it says nothing")
	}
}

// indexFor returns which types of index serve a condition on a field, and its size.
func indexFor(c *pb.FieldCondition) ([]pb.PayloadSchemaType, int, error) {
	if c.GetKey() == "" {
		return nil, 0, invalid("Validation error: filter: key is empty")
	}
	given := 0
	for _, there := range []bool{c.GetMatch() != nil, c.GetRange() != nil, c.GetDatetimeRange() != nil} {
		if there {
			given++
		}
	}
	if given != 1 {
		return nil, 0, invalid("contract: the condition on %s has %d forms, it needs exactly one", c.GetKey(), given)
	}
	switch {
	case c.GetRange() != nil:
		return []pb.PayloadSchemaType{pb.PayloadSchemaType_Integer, pb.PayloadSchemaType_Float}, 1, nil
	case c.GetDatetimeRange() != nil:
		return []pb.PayloadSchemaType{pb.PayloadSchemaType_Datetime}, 1, nil
	}
	keyword := []pb.PayloadSchemaType{pb.PayloadSchemaType_Keyword, pb.PayloadSchemaType_Uuid}
	switch m := c.GetMatch().GetMatchValue().(type) {
	case *pb.Match_Keyword:
		return keyword, 1, nil
	case *pb.Match_Keywords:
		return keyword, len(m.Keywords.GetStrings()), nil
	case *pb.Match_ExceptKeywords:
		return keyword, len(m.ExceptKeywords.GetStrings()), nil
	case *pb.Match_Integer:
		return []pb.PayloadSchemaType{pb.PayloadSchemaType_Integer}, 1, nil
	case *pb.Match_Integers:
		return []pb.PayloadSchemaType{pb.PayloadSchemaType_Integer}, len(m.Integers.GetIntegers()), nil
	case *pb.Match_Boolean:
		return []pb.PayloadSchemaType{pb.PayloadSchemaType_Bool}, 1, nil
	case *pb.Match_Text:
		return []pb.PayloadSchemaType{pb.PayloadSchemaType_Text}, 1, nil
	default:
		return nil, 0, invalid("Malformed Match condition on %s", c.GetKey())
	}
}

// checkIndexed refuses payload that an index of the type could not take.
func checkIndexed(key string, typ pb.PayloadSchemaType, payload map[string]*pb.Value) error {
	for _, value := range fields(payload).at(key) {
		if isNull(value) || fits(typ, value) {
			continue
		}
		return invalid("contract: payload %s is indexed as %s, which %.80s is not", key, typ, fmt.Sprint(value))
	}
	return nil
}

func fits(typ pb.PayloadSchemaType, value *pb.Value) bool {
	switch value.GetKind().(type) {
	case *pb.Value_StringValue:
		if typ == pb.PayloadSchemaType_Datetime {
			_, ok := instant(value)
			return ok
		}
		return typ == pb.PayloadSchemaType_Keyword || typ == pb.PayloadSchemaType_Text || typ == pb.PayloadSchemaType_Uuid
	case *pb.Value_IntegerValue:
		return typ == pb.PayloadSchemaType_Integer || typ == pb.PayloadSchemaType_Float
	case *pb.Value_DoubleValue:
		return typ == pb.PayloadSchemaType_Float
	case *pb.Value_BoolValue:
		return typ == pb.PayloadSchemaType_Bool
	default:
		return false
	}
}
