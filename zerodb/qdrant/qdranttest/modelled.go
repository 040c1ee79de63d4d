package qdranttest

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// modelled are the fields that the server acts upon, by message. Any other that is set is refused.
var modelled = fieldsOf(`
	HealthCheckRequest:
	ListCollectionsRequest:
	CollectionExistsRequest: collection_name
	GetCollectionInfoRequest: collection_name
	DeleteCollection: collection_name timeout
	CreateCollection: collection_name vectors_config sparse_vectors_config hnsw_config on_disk_payload strict_mode_config timeout
	UpdateCollection: collection_name strict_mode_config timeout
	VectorsConfig: params_map
	VectorParamsMap: map
	VectorParams: size distance
	SparseVectorConfig: map
	SparseVectorParams:
	HnswConfigDiff: m payload_m
	StrictModeConfig: enabled max_query_limit unindexed_filtering_retrieve unindexed_filtering_update search_allow_exact upsert_max_batchsize filter_max_conditions condition_max_size
	CreateFieldIndexCollection: collection_name wait field_name field_type field_index_params ordering timeout
	DeleteFieldIndexCollection: collection_name wait field_name ordering timeout
	PayloadIndexParams: keyword_index_params datetime_index_params float_index_params integer_index_params
	KeywordIndexParams: is_tenant
	DatetimeIndexParams:
	FloatIndexParams:
	IntegerIndexParams:
	UpsertPoints: collection_name wait points ordering update_filter update_mode timeout
	PointStruct: id payload vectors
	PointId: num uuid
	Vectors: vectors
	NamedVectors: vectors
	Vector: dense sparse
	DenseVector: data
	SparseVector: values indices
	Value: null_value double_value integer_value string_value bool_value struct_value list_value
	Struct: fields
	ListValue: values
	DeletePoints: collection_name wait points ordering timeout
	PointsSelector: points filter
	PointsIdsList: ids
	UpdateBatchPoints: collection_name wait operations ordering timeout
	PointsUpdateOperation: set_payload
	PointsUpdateOperation.SetPayload: payload points_selector
	WriteOrdering: type
	ReadConsistency: type
	ScrollPoints: collection_name filter offset limit with_payload with_vectors read_consistency order_by timeout
	OrderBy: key direction
	WithPayloadSelector: enable include
	PayloadIncludeSelector: fields
	WithVectorsSelector: enable include
	VectorsSelector: names
	CountPoints: collection_name filter exact read_consistency timeout
	FacetCounts: collection_name key filter limit exact timeout read_consistency
	QueryBatchPoints: collection_name query_points read_consistency timeout
	QueryPoints: collection_name query using filter params limit with_payload with_vectors
	Query: nearest
	VectorInput: dense sparse
	SearchParams: exact
	Filter: should must must_not min_should
	MinShould: conditions min_count
	Condition: field is_empty has_id filter is_null nested
	FieldCondition: key match range datetime_range
	Match: keyword integer boolean text keywords integers except_keywords
	RepeatedStrings: strings
	RepeatedIntegers: integers
	Range: lt gt gte lte
	DatetimeRange: lt gt gte lte
	IsEmptyCondition: key
	IsNullCondition: key
	HasIdCondition: has_id
	NestedCondition: key filter
`)

func fieldsOf(table string) map[string]map[string]bool {
	fields := map[string]map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(table)) {
		message, names, _ := strings.Cut(strings.TrimSpace(line), ":")
		fields[message] = map[string]bool{}
		for name := range strings.FieldsSeq(names) {
			fields[message][name] = true
		}
	}
	return fields
}

// checkModelled refuses what the server would have to ignore.
func checkModelled(m protoreflect.Message) error {
	name := string(m.Descriptor().FullName())
	if name == "google.protobuf.Timestamp" {
		return nil
	}
	short := strings.TrimPrefix(name, "qdrant.")
	if len(m.GetUnknown()) > 0 {
		return invalid("contract: %s has a field that the protobuf does not know", short)
	}
	fields, known := modelled[short]
	if !known {
		return status.Errorf(codes.Unimplemented, "contract: %s is not modelled", short)
	}
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if !fields[string(field.Name())] {
			err = status.Errorf(codes.Unimplemented, "contract: %s.%s is not modelled", short, field.Name())
			return false
		}
		err = checkField(field, value)
		return err == nil
	})
	return err
}

func checkField(field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	var err error
	switch {
	case field.IsMap():
		if field.MapValue().Message() == nil {
			return nil
		}
		value.Map().Range(func(_ protoreflect.MapKey, element protoreflect.Value) bool {
			err = checkModelled(element.Message())
			return err == nil
		})
	case field.Message() == nil:
	case field.IsList():
		for i := 0; i < value.List().Len() && err == nil; i++ {
			err = checkModelled(value.List().Get(i).Message())
		}
	default:
		err = checkModelled(value.Message())
	}
	return err
}
