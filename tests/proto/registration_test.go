package proto_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const registrationProto = "proto/pluginregistration/pluginregistration.proto"

func publishedRegistration() *descriptorpb.FileDescriptorProto {
	messages := (&registration.PluginInfo{}).ProtoReflect().Descriptor().ParentFile()
	return protodesc.ToFileDescriptorProto(messages)
}

func TestRegistrationProto_IsKubernetesFieldByField(t *testing.T) {
	mine := facts(transcribed(t, registrationProto))
	for _, difference := range differences(mine, facts(publishedRegistration())) {
		t.Error(difference)
	}
	// The file, four messages, six fields, a service and two calls.
	if len(mine) != 14 {
		t.Errorf("expected 14 facts, found %d: %v", len(mine), mine)
	}
}

func TestRegistrationProto_AChangedField_IsReported(t *testing.T) {
	changed := proto.Clone(publishedRegistration()).(*descriptorpb.FileDescriptorProto)
	changed.MessageType[0].Field[0].Number = proto.Int32(9)
	if found := differences(facts(changed), facts(publishedRegistration())); len(found) != 1 {
		t.Errorf("expected one difference, found %v", found)
	}
}
