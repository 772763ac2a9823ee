package proto_test

import (
	"fmt"
	"sort"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// factsOf maps everything that a descriptor says to one line: "field csi.v1.Topology.segments" to
// its number, type and so on. Two files are the same API when their facts are equal; the order in
// which they declare things is no fact.
type factsOf map[string]string

func facts(file *descriptorpb.FileDescriptorProto) factsOf {
	all := factsOf{}
	all.add("file", file.GetPackage(), "syntax %s, imports %v, options {%s}",
		file.GetSyntax(), file.GetDependency(), text(file.GetOptions()))
	for _, message := range file.MessageType {
		all.message(file.GetPackage(), message)
	}
	for _, enum := range file.EnumType {
		all.enum(file.GetPackage(), enum)
	}
	for _, extension := range file.Extension {
		all.field("extension", file.GetPackage(), extension, nil)
	}
	for _, service := range file.Service {
		all.service(file.GetPackage(), service)
	}
	return all
}

func (f factsOf) add(kind, name, format string, values ...any) {
	key := kind + " " + name
	if _, twice := f[key]; twice {
		panic("two facts named " + key)
	}
	f[key] = fmt.Sprintf(format, values...)
}

func (f factsOf) message(scope string, message *descriptorpb.DescriptorProto) {
	name := scope + "." + message.GetName()
	f.add("message", name, "options {%s}", text(message.GetOptions()))
	for _, field := range message.Field {
		f.field("field", name, field, message.OneofDecl)
	}
	for _, oneof := range message.OneofDecl {
		f.add("oneof", name+"."+oneof.GetName(), "options {%s}", text(oneof.GetOptions()))
	}
	if len(message.ReservedRange) > 0 || len(message.ReservedName) > 0 {
		f.add("reserved", name, "%v %v", message.ReservedRange, message.ReservedName)
	}
	for _, extension := range message.Extension {
		f.field("extension", name, extension, nil)
	}
	for _, nested := range message.NestedType {
		f.message(name, nested)
	}
	for _, enum := range message.EnumType {
		f.enum(name, enum)
	}
}

func (f factsOf) field(kind, scope string, field *descriptorpb.FieldDescriptorProto,
	oneofs []*descriptorpb.OneofDescriptorProto) {
	oneof := ""
	if field.OneofIndex != nil {
		oneof = oneofs[field.GetOneofIndex()].GetName()
	}
	f.add(kind, scope+"."+field.GetName(),
		"number %d, %s %s %s, json %s, oneof '%s', optional %v, default '%s', extends '%s', options {%s}",
		field.GetNumber(), field.GetLabel(), field.GetType(), field.GetTypeName(),
		field.GetJsonName(), oneof, field.GetProto3Optional(), field.GetDefaultValue(),
		field.GetExtendee(), text(field.GetOptions()))
}

func (f factsOf) enum(scope string, enum *descriptorpb.EnumDescriptorProto) {
	name := scope + "." + enum.GetName()
	f.add("enum", name, "options {%s}", text(enum.GetOptions()))
	for _, value := range enum.Value {
		f.add("value", name+"."+value.GetName(), "number %d, options {%s}",
			value.GetNumber(), text(value.GetOptions()))
	}
	if len(enum.ReservedRange) > 0 || len(enum.ReservedName) > 0 {
		f.add("reserved", name, "%v %v", enum.ReservedRange, enum.ReservedName)
	}
}

func (f factsOf) service(scope string, service *descriptorpb.ServiceDescriptorProto) {
	name := scope + "." + service.GetName()
	f.add("service", name, "options {%s}", text(service.GetOptions()))
	for _, method := range service.Method {
		f.add("rpc", name+"."+method.GetName(),
			"%s (streams %v) returns %s (streams %v), options {%s}",
			method.GetInputType(), method.GetClientStreaming(),
			method.GetOutputType(), method.GetServerStreaming(), text(method.GetOptions()))
	}
}

// text has extensions by name, and by number those that nobody declared.
func text(options proto.Message) string {
	return prototext.MarshalOptions{EmitUnknown: true}.Format(options)
}

// differences is one line for each fact that is not the same on both sides.
func differences(mine, published factsOf) []string {
	var result []string
	for name, fact := range mine {
		if other, found := published[name]; !found {
			result = append(result, fmt.Sprintf("%s: not in the specification", name))
		} else if other != fact {
			result = append(result, fmt.Sprintf("%s: ours is %s, the specification's %s", name, fact, other))
		}
	}
	for name := range published {
		if _, found := mine[name]; !found {
			result = append(result, fmt.Sprintf("%s: missing", name))
		}
	}
	sort.Strings(result)
	return result
}
