// os/files.h
#include "tests/contract/host_contract.h"

namespace holdfast {
namespace {

std::string Bytes(size_t length, char seed) {
  std::string text(length, '\0');
  for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>(seed + i % 23);
  return text;
}

uint64_t SumOf(const std::vector<Extent>& extents, bool (*counts)(const Extent&)) {
  uint64_t sum = 0;
  for (const Extent& extent : extents) sum += counts(extent) ? extent.length : 0;
  return sum;
}

bool IsShared(const Extent& extent) { return extent.shared; }
bool IsUnwritten(const Extent& extent) { return extent.unwritten; }

TEST_P(HostContract, OpenFolder_OfNothing_IsNotFound) {
  EXPECT_CODE(host().OpenFolder(folder_path() + "/absent"), kNotFound);
}

TEST_P(HostContract, OpenFolder_OfAFile_IsFailedPrecondition) {
  ASSERT_OK(NewFile("file"));
  EXPECT_CODE(host().OpenFolder(folder_path() + "/file"), kFailedPrecondition);
}

TEST_P(HostContract, EnsureFolder_Twice_OpensTheSameFolder) {
  ASSERT_OK_AND_ASSIGN(UniqueFd first, host().EnsureFolder(folder(), "sub"));
  ASSERT_OK_AND_ASSIGN(UniqueFd second, host().EnsureFolder(folder(), "sub"));
  ASSERT_OK(host().CreateFile(first, "a"));
  ASSERT_OK_AND_ASSIGN(const auto names, host().ListFolder(second));
  EXPECT_EQ(names, std::vector<std::string>{"a"});
  ASSERT_OK(host().Remove(second, "a"));
  EXPECT_OK(host().SyncFolder(first));
}

TEST_P(HostContract, PlaceOf_IsTheFoldersPathAndTheMountThatHoldsIt) {
  ASSERT_OK_AND_ASSIGN(const FolderPlace place, host().PlaceOf(folder()));
  EXPECT_EQ(place.path, folder_path());
  EXPECT_EQ(place.mount.target, machine().pool());
  ASSERT_OK_AND_ASSIGN(const FolderFilesystem filesystem, host().DescribeFilesystem(folder()));
  EXPECT_EQ(place.mount.type, filesystem.type);
}

TEST_P(HostContract, GrowFilesystemOf_ADiskThatIsAsLargeAsBefore_ChangesNothing) {
  ASSERT_OK_AND_ASSIGN(const FolderFilesystem before, host().DescribeFilesystem(folder()));
  for (int i = 0; i < 2; ++i) EXPECT_OK(host().GrowFilesystemOf(folder()));
  ASSERT_OK_AND_ASSIGN(const FolderFilesystem after, host().DescribeFilesystem(folder()));
  EXPECT_EQ(after.size_bytes, before.size_bytes);
}

TEST_P(HostContract, CreateFile_OfATakenName_IsAlreadyExists) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, NewFile("file"));
  ASSERT_OK(host().Write(file, 0, "kept"));
  EXPECT_CODE(host().CreateFile(folder(), "file"), kAlreadyExists);
  ASSERT_OK_AND_ASSIGN(const std::string data, host().Read(file, 0, 10));
  EXPECT_EQ(data, "kept");
}

TEST_P(HostContract, OpenFile_OfNothing_IsNullopt) {
  ASSERT_OK_AND_ASSIGN(const auto file, host().OpenFile(folder(), "absent", Access::kReadOnly));
  EXPECT_FALSE(file.has_value());
}

TEST_P(HostContract, FileSize_IsThatOfARegularFile_AndNothingElseHasOne) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, host().CreateFile(folder(), "sized"));
  ASSERT_OK(host().Resize(file, 12 * 4096));
  ASSERT_OK(host().EnsureFolder(folder(), "sized-sub").status());
  EXPECT_EQ(*host().FileSize(folder(), "sized").value(), 12u * 4096);
  EXPECT_EQ(host().FileSize(folder(), "absent").value(), std::nullopt);
  EXPECT_EQ(host().FileSize(folder(), "sized-sub").value(), std::nullopt);
}

TEST_P(HostContract, OpenFile_OfALinkOrFolder_IsRefused) {
  ASSERT_OK(NewFile("file"));
  machine().MakeSymlink(folder_path() + "/link", "file");
  EXPECT_FALSE(host().OpenFile(folder(), "link", Access::kReadOnly).ok());
  ASSERT_OK(host().EnsureFolder(folder(), "sub"));
  EXPECT_FALSE(host().OpenFile(folder(), "sub", Access::kReadOnly).ok());
}

TEST_P(HostContract, Write_ThroughAReadOnlyOpen_IsRefused) {
  ASSERT_OK(NewFile("file"));
  ASSERT_OK_AND_ASSIGN(const auto file, host().OpenFile(folder(), "file", Access::kReadOnly));
  EXPECT_FALSE(host().Write(*file, 0, "x").ok());
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(*file));
  EXPECT_EQ(facts.size_bytes, 0u);
}

TEST_P(HostContract, Rename_NeverReplacesAndTellsWhatIsMissing) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd sub, host().EnsureFolder(folder(), "sub"));
  ASSERT_OK_AND_ASSIGN(const UniqueFd first, NewFile("first"));
  ASSERT_OK(NewFile("second"));
  ASSERT_OK(host().Write(first, 0, "one"));
  EXPECT_CODE(host().Rename(folder(), "first", folder(), "second"), kAlreadyExists);
  EXPECT_CODE(host().Rename(folder(), "absent", folder(), "new"), kNotFound);
  ASSERT_OK(host().Rename(folder(), "first", sub, "moved"));
  ASSERT_OK_AND_ASSIGN(const auto gone, host().OpenFile(folder(), "first", Access::kReadOnly));
  EXPECT_FALSE(gone.has_value());
  ASSERT_OK_AND_ASSIGN(const auto moved, host().OpenFile(sub, "moved", Access::kReadOnly));
  ASSERT_TRUE(moved.has_value());
  ASSERT_OK_AND_ASSIGN(const std::string data, host().Read(*moved, 0, 10));
  EXPECT_EQ(data, "one");
  ASSERT_OK(host().Remove(sub, "moved"));
}

TEST_P(HostContract, Remove_TellsWhetherThereWasOne_AndAnOpenFileLivesOn) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, NewFile("file"));
  ASSERT_OK(host().Write(file, 0, "still here"));
  ASSERT_OK_AND_ASSIGN(const bool removed, host().Remove(folder(), "file"));
  EXPECT_TRUE(removed);
  ASSERT_OK_AND_ASSIGN(const bool again, host().Remove(folder(), "file"));
  EXPECT_FALSE(again);
  ASSERT_OK_AND_ASSIGN(const std::string data, host().Read(file, 0, 10));
  EXPECT_EQ(data, "still here");
}

TEST_P(HostContract, Describe_TellsFilesApart_AlsoWhenANameIsUsedAgain) {
  ASSERT_OK_AND_ASSIGN(UniqueFd first, NewFile("a"));
  ASSERT_OK_AND_ASSIGN(const auto second, host().OpenFile(folder(), "a", Access::kReadOnly));
  ASSERT_OK_AND_ASSIGN(const FileFacts one, host().Describe(first));
  ASSERT_OK_AND_ASSIGN(const FileFacts same, host().Describe(*second));
  EXPECT_EQ(one.inode, same.inode);
  EXPECT_EQ(one.generation, same.generation);
  EXPECT_EQ(one.device, same.device);
  first.Close();
  ASSERT_OK(host().Remove(folder(), "a"));
  ASSERT_OK_AND_ASSIGN(const UniqueFd third, NewFile("a"));
  ASSERT_OK_AND_ASSIGN(const FileFacts other, host().Describe(third));
  EXPECT_TRUE(other.inode != one.inode || other.generation != one.generation);
}

TEST_P(HostContract, Resize_GrowsWithAHoleThatReadsAsZeroes) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, NewFile("file", 8 * kMiB));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(file));
  EXPECT_EQ(facts.size_bytes, 8 * kMiB);
  EXPECT_EQ(facts.allocated_bytes, 0u);
  ASSERT_OK_AND_ASSIGN(const auto extents, host().Extents(file));
  EXPECT_TRUE(extents.empty());
  ASSERT_OK_AND_ASSIGN(const bool has_data, host().HasData(file));
  EXPECT_FALSE(has_data);
  ASSERT_OK_AND_ASSIGN(const std::string data, host().Read(file, 4 * kMiB, 16));
  EXPECT_EQ(data, std::string(16, '\0'));
}

TEST_P(HostContract, Preallocate_AllocatesEverythingAndIsNoData) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, NewFile("file", 8 * kMiB));
  ASSERT_OK(host().Preallocate(file, 0, 8 * kMiB));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(file));
  EXPECT_GE(facts.allocated_bytes, 8 * kMiB);
  ASSERT_OK_AND_ASSIGN(const auto extents, host().Extents(file));
  EXPECT_EQ(SumOf(extents, IsUnwritten), 8 * kMiB);
  ASSERT_OK_AND_ASSIGN(const uint64_t count, host().ExtentCount(file));
  EXPECT_EQ(count, extents.size()) << "nothing is shared here that would split a record";
  ASSERT_OK_AND_ASSIGN(const bool has_data, host().HasData(file));
  EXPECT_FALSE(has_data);
}

TEST_P(HostContract, Preallocate_AroundData_KeepsIt) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, NewFile("file", kMiB));
  ASSERT_OK(host().Write(file, 100 * kKiB, Bytes(10000, 'a')));
  ASSERT_OK(host().Preallocate(file, 0, kMiB));
  ASSERT_OK_AND_ASSIGN(const std::string data, host().Read(file, 100 * kKiB, 10000));
  EXPECT_EQ(data, Bytes(10000, 'a'));
  ASSERT_OK_AND_ASSIGN(const bool has_data, host().HasData(file));
  EXPECT_TRUE(has_data);
}

TEST_P(HostContract, Preallocate_BeyondThePool_IsResourceExhausted) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, NewFile("file"));
  EXPECT_CODE(host().Preallocate(file, 0, 64 * kGiB), kResourceExhausted);
}

TEST_P(HostContract, Read_PastTheEnd_GivesWhatIsThere) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd file, NewFile("file"));
  ASSERT_OK(host().Write(file, 0, "0123456789"));
  ASSERT_OK(host().Sync(file));
  ASSERT_OK_AND_ASSIGN(const std::string tail, host().Read(file, 6, 100));
  EXPECT_EQ(tail, "6789");
  ASSERT_OK_AND_ASSIGN(const std::string nothing, host().Read(file, 100, 100));
  EXPECT_EQ(nothing, "");
}

TEST_P(HostContract, Clone_SharesBlocksUntilOneSideIsWritten) {
  ASSERT_OK_AND_ASSIGN(const UniqueFd from, NewFile("from"));
  ASSERT_OK(host().Write(from, 0, Bytes(kMiB, 'a')));
  ASSERT_OK_AND_ASSIGN(const UniqueFd to, NewClone(from, "to"));
  for (const UniqueFd* file : {&from, &to}) {
    ASSERT_OK_AND_ASSIGN(const auto extents, host().Extents(*file));
    EXPECT_EQ(SumOf(extents, IsShared), kMiB);
  }
  ASSERT_OK(host().Write(from, 64 * kKiB, Bytes(64 * kKiB, 'Z')));
  ASSERT_OK(host().Sync(from));
  ASSERT_OK_AND_ASSIGN(const std::string kept, host().Read(to, 0, kMiB));
  EXPECT_EQ(kept, Bytes(kMiB, 'a'));
  ASSERT_OK_AND_ASSIGN(const auto extents, host().Extents(from));
  EXPECT_EQ(SumOf(extents, IsShared), kMiB - 64 * kKiB);
}

TEST_P(HostContract, Clone_OfPreallocation_IsAHoleOnXfsAndSharedOnBtrfs) {
  const bool btrfs = GetParam().pool_filesystem == "btrfs";
  ASSERT_OK_AND_ASSIGN(const UniqueFd from, NewFile("from", 4 * kMiB));
  ASSERT_OK(host().Preallocate(from, 0, 4 * kMiB));
  ASSERT_OK(host().Write(from, 0, Bytes(kMiB, 'a')));
  ASSERT_OK(host().Sync(from));
  ASSERT_OK_AND_ASSIGN(const UniqueFd to, NewClone(from, "to"));
  ASSERT_OK_AND_ASSIGN(const FileFacts facts, host().Describe(to));
  EXPECT_EQ(facts.size_bytes, 4 * kMiB);
  EXPECT_EQ(facts.allocated_bytes, btrfs ? 4 * kMiB : kMiB);
  ASSERT_OK(host().Preallocate(to, 0, 4 * kMiB));
  ASSERT_OK_AND_ASSIGN(const auto extents, host().Extents(to));
  EXPECT_EQ(SumOf(extents, IsUnwritten), 3 * kMiB);
  EXPECT_EQ(SumOf(extents, IsShared), btrfs ? 4 * kMiB : kMiB);
}

TEST_P(HostContract, DescribeFilesystem_CountsWhatIsTakenAndGivenBack) {
  ASSERT_OK_AND_ASSIGN(const FolderFilesystem before, host().DescribeFilesystem(folder()));
  EXPECT_EQ(before.type, GetParam().pool_filesystem);
  EXPECT_TRUE(before.reflink);
  EXPECT_FALSE(before.read_only);
  EXPECT_GE(before.size_bytes, before.free_bytes);
  ASSERT_OK_AND_ASSIGN(UniqueFd file, NewFile("file", kGiB));
  // At once: admission relies on it. The second one fits in what the first left of its chunk.
  ASSERT_OK(host().Preallocate(file, 0, kGiB - 64 * kMiB));
  ASSERT_OK(host().Preallocate(file, kGiB - 64 * kMiB, 64 * kMiB));
  ASSERT_OK_AND_ASSIGN(const FolderFilesystem taken, host().DescribeFilesystem(folder()));
  EXPECT_LE(taken.free_bytes + kGiB, before.free_bytes + 16 * kMiB);
  file.Close();
  ASSERT_OK(host().Remove(folder(), "file"));
  ASSERT_OK(host().SyncFilesystem(folder()));
  ASSERT_OK_AND_ASSIGN(const FolderFilesystem again, host().DescribeFilesystem(folder()));
  EXPECT_GE(again.free_bytes + 16 * kMiB, before.free_bytes);
}

TEST_P(HostContract, LockFile_IsHeldAsLongAsTheDescriptor) {
  ASSERT_OK_AND_ASSIGN(UniqueFd first, NewFile("lock"));
  ASSERT_OK_AND_ASSIGN(const auto second, host().OpenFile(folder(), "lock", Access::kReadWrite));
  ASSERT_OK(host().LockFile(first));
  ASSERT_OK(host().LockFile(first));
  EXPECT_CODE(host().LockFile(*second), kFailedPrecondition);
  first.Close();
  EXPECT_OK(host().LockFile(*second));
}

TEST_P(HostContract, OtherWriter_SeesWritersOnly) {
  ASSERT_OK_AND_ASSIGN(UniqueFd writer, NewFile("file", kMiB));
  ASSERT_OK_AND_ASSIGN(const auto image, host().OpenFile(folder(), "file", Access::kReadOnly));
  ASSERT_OK_AND_ASSIGN(const auto reader, host().OpenFile(folder(), "file", Access::kReadOnly));
  ASSERT_OK_AND_ASSIGN(const auto busy, host().OtherWriter(*image));
  EXPECT_TRUE(busy.has_value());
  writer.Close();
  ASSERT_OK_AND_ASSIGN(const auto free, host().OtherWriter(*image));
  EXPECT_FALSE(free.has_value()) << *free;
}

TEST_P(HostContract, OtherWriter_NamesALoopDevice) {
  ASSERT_OK_AND_ASSIGN(UniqueFd writer, NewFile("file", kMiB));
  ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(writer, {}));
  writer.Close();
  ASSERT_OK_AND_ASSIGN(const auto image, host().OpenFile(folder(), "file", Access::kReadOnly));
  ASSERT_OK_AND_ASSIGN(const auto who, host().OtherWriter(*image));
  ASSERT_TRUE(who.has_value());
  EXPECT_NE(who->find(attached.loop.path), std::string::npos) << *who;
}

TEST_P(HostContract, IsOpenElsewhere_SeesReadersWritersAndLoopDevices) {
  ASSERT_OK_AND_ASSIGN(UniqueFd writer, NewFile("file", kMiB));
  ASSERT_OK_AND_ASSIGN(const auto file, host().OpenFile(folder(), "file", Access::kReadOnly));
  const auto is_open = [&] { return host().IsOpenElsewhere(*file).value(); };
  EXPECT_TRUE(is_open()) << "a writer";
  for (const Access access : {Access::kReadWrite, Access::kReadOnly}) {
    ASSERT_OK_AND_ASSIGN(auto opened, host().OpenFile(folder(), "file", access));
    ASSERT_OK_AND_ASSIGN(AttachedLoop attached, host().Attach(*opened, {.access = access}));
    writer.Close();
    opened->Close();
    EXPECT_TRUE(is_open()) << "a loop device";
    attached.fd.Close();
    EXPECT_TRUE(IsDetachedSoon(*file));
    EXPECT_FALSE(is_open());
  }
  ASSERT_OK_AND_ASSIGN(const auto reader, host().OpenFile(folder(), "file", Access::kReadOnly));
  EXPECT_TRUE(is_open()) << "a reader";
}

}  // namespace
}  // namespace holdfast
