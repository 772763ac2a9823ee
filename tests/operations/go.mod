module csi.holdfast.dev/tests/operations

go 1.26
