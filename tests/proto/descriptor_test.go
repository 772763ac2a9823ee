// Package proto_test compares proto/csi/csi.proto, our transcription, with the descriptor that the
// CSI specification publishes as a Go module.
package proto_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

const repository = "../.."

func ours(t *testing.T) *descriptorpb.FileDescriptorProto {
	t.Helper()
	return transcribed(t, "proto/csi/csi.proto")
}

// transcribed runs protoc as the build does and returns what it understood.
func transcribed(t *testing.T, path string) *descriptorpb.FileDescriptorProto {
	t.Helper()
	set := filepath.Join(t.TempDir(), "ours.bin")
	protoc := exec.Command("protoc", "-I", repository, "--descriptor_set_out="+set, path)
	if output, err := protoc.CombinedOutput(); err != nil {
		t.Fatalf("protoc: %v\n%s", err, output)
	}
	bytes, err := os.ReadFile(set)
	if err != nil {
		t.Fatal(err)
	}
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(bytes, &files); err != nil {
		t.Fatal(err)
	}
	if len(files.File) != 1 {
		t.Fatalf("expected one file from protoc, found %d", len(files.File))
	}
	return normalized(t, files.File[0])
}

func theirs() *descriptorpb.FileDescriptorProto {
	return protodesc.ToFileDescriptorProto(csi.File_csi_proto)
}

// normalized links the file, which checks it, and gives it the defaults (JSON names) that the
// published one has.
func normalized(t *testing.T, file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	t.Helper()
	linked, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return protodesc.ToFileDescriptorProto(linked)
}

func TestOurProto_IsTheSpecificationFieldByField(t *testing.T) {
	mine, published := facts(ours(t)), facts(theirs())
	for _, difference := range differences(mine, published) {
		t.Error(difference)
	}
	// A comparison of nothing with nothing would pass, too.
	for kind, least := range map[string]int{
		"message": 100, "field": 250, "enum": 10, "value": 55, "service": 5, "rpc": 35,
		"extension": 7, "reserved": 4,
	} {
		count := 0
		for name := range mine {
			if strings.HasPrefix(name, kind+" ") {
				count++
			}
		}
		if count < least {
			t.Errorf("expected at least %d facts of kind %s, found %d", least, kind, count)
		}
	}
	t.Logf("compared %d facts", len(mine))
}

func TestOurProto_MarksEverySecretAsTheSpecificationDoes(t *testing.T) {
	count := 0
	for name, fact := range facts(ours(t)) {
		if !strings.HasPrefix(name, "field ") {
			continue
		}
		isSecret := strings.Contains(fact, "csi_secret]:true")
		if strings.HasSuffix(name, ".secrets") != isSecret {
			t.Errorf("%s: expected csi_secret on fields named secrets and no others, found %s", name, fact)
		}
		if isSecret {
			count++
		}
	}
	if count < 15 {
		t.Errorf("expected at least 15 secrets, found %d", count)
	}
}

// The control: whatever is changed in the descriptor, exactly that is reported.
func TestComparison_AChangedDescriptor_IsReportedAsDifferent(t *testing.T) {
	type file = descriptorpb.FileDescriptorProto
	message := func(f *file, name string) *descriptorpb.DescriptorProto {
		for _, m := range f.MessageType {
			if m.GetName() == name {
				return m
			}
		}
		t.Fatalf("no message %s", name)
		return nil
	}
	field := func(f *file, name string, index int) *descriptorpb.FieldDescriptorProto {
		return message(f, name).Field[index]
	}
	cases := map[string]struct {
		change func(*file)
		blames string
	}{
		"number": {func(f *file) { field(f, "DeleteVolumeRequest", 0).Number = proto.Int32(7) },
			"field csi.v1.DeleteVolumeRequest.volume_id"},
		"name": {func(f *file) { field(f, "DeleteVolumeRequest", 0).Name = proto.String("volume") },
			"field csi.v1.DeleteVolumeRequest.volume"},
		"type": {func(f *file) {
			field(f, "CapacityRange", 0).Type = descriptorpb.FieldDescriptorProto_TYPE_UINT64.Enum()
		}, "field csi.v1.CapacityRange.required_bytes"},
		"label": {func(f *file) {
			field(f, "ListVolumesResponse", 0).Label = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
		}, "field csi.v1.ListVolumesResponse.entries"},
		"JSON name": {func(f *file) { field(f, "Topology", 0).JsonName = proto.String("segment") },
			"field csi.v1.Topology.segments"},
		"secret": {func(f *file) { field(f, "DeleteVolumeRequest", 1).Options = nil },
			"field csi.v1.DeleteVolumeRequest.secrets"},
		"alpha message": {func(f *file) { message(f, "GetSnapshotRequest").Options = nil },
			"message csi.v1.GetSnapshotRequest"},
		"reserved": {func(f *file) { message(f, "NodeGetVolumeStatsResponse").ReservedRange = nil },
			"reserved csi.v1.NodeGetVolumeStatsResponse"},
		"oneof": {func(f *file) { field(f, "PluginCapability", 0).OneofIndex = nil },
			"field csi.v1.PluginCapability.service"},
		"enum value": {func(f *file) { f.EnumType[0].Value[1].Number = proto.Int32(9) },
			"value csi.v1.VolumeHealthErrorType.DEGRADED"},
		"streaming": {func(f *file) { f.Service[0].Method[0].ServerStreaming = proto.Bool(true) },
			"rpc csi.v1.Identity.GetPluginInfo"},
		"alpha service": {func(f *file) { f.Service[3].Options = nil }, "service csi.v1.SnapshotMetadata"},
		"extension": {func(f *file) { f.Extension[0].Number = proto.Int32(1061) },
			"extension csi.v1.alpha_enum"},
	}
	published := facts(theirs())
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			changed := proto.Clone(theirs()).(*file)
			c.change(changed)
			found := differences(facts(changed), published)
			if len(found) == 0 || len(found) > 2 {
				t.Fatalf("expected one change to be reported, found %d: %v", len(found), found)
			}
			if !strings.Contains(strings.Join(found, "\n"), c.blames+":") {
				t.Errorf("expected %s to be blamed, found %v", c.blames, found)
			}
		})
	}
}
