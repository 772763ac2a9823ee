package sanity

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// withFsType names the filesystem in every mount capability that a call carries: the suite itself
// leaves it open.
func withFsType(fsType string) grpc.DialOption {
	return grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
		connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if message, ok := request.(proto.Message); ok && fsType != "" {
			named := proto.Clone(message) // capabilities are shared between calls
			for _, capability := range capabilitiesOf(named) {
				if mount := capability.GetMount(); mount != nil && mount.FsType == "" {
					mount.FsType = fsType
				}
			}
			request = named
		}
		return invoke(ctx, method, request, reply, connection, options...)
	})
}

func capabilitiesOf(message proto.Message) []*csi.VolumeCapability {
	switch request := message.(type) {
	case interface {
		GetVolumeCapabilities() []*csi.VolumeCapability
	}:
		return request.GetVolumeCapabilities()
	case interface{ GetVolumeCapability() *csi.VolumeCapability }:
		return []*csi.VolumeCapability{request.GetVolumeCapability()}
	}
	return nil
}
