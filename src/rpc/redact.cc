#include "rpc/redact.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <string_view>
#include <vector>

#include "google/protobuf/text_format.h"
#include "proto/csi/csi.pb.h"

namespace holdfast {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool NamesSecret(std::string key) {
  std::transform(key.begin(), key.end(), key.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word : {"token", "secret", "password"}) {
    if (key.find(word) != std::string::npos) return true;
  }
  return false;
}

bool IsStringMap(const FieldDescriptor& field) {
  return field.is_map() &&
         field.message_type()->map_key()->type() == FieldDescriptor::TYPE_STRING &&
         field.message_type()->map_value()->type() == FieldDescriptor::TYPE_STRING;
}

void RedactMap(Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* key = field.message_type()->map_key();
  const FieldDescriptor* value = field.message_type()->map_value();
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    Message* entry = reflection.MutableRepeatedMessage(&message, &field, i);
    if (NamesSecret(entry->GetReflection()->GetString(*entry, key))) {
      entry->GetReflection()->SetString(entry, value, "***");
    }
  }
}

void Redact(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->options().GetExtension(csi::v1::csi_secret) ||
        field->name() == "service_account_token") {
      reflection.ClearField(&message, field);
    } else if (field->name() == "mount_flags" && field->is_repeated()) {
      // They may hold secrets as well (CSI specification, VolumeCapability): names are enough.
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        const std::string flag = reflection.GetRepeatedString(message, field, i);
        const size_t value = flag.find('=');
        if (value == std::string::npos) continue;
        reflection.SetRepeatedString(&message, field, i, flag.substr(0, value) + "=***");
      }
    } else if (IsStringMap(*field)) {
      RedactMap(message, *field);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        Redact(*reflection.MutableRepeatedMessage(&message, field, i));
      }
    } else {
      Redact(*reflection.MutableMessage(&message, field));
    }
  }
}

}  // namespace

std::string LoggableText(const Message& message, size_t limit) {
  const std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  // A field that this version does not know may be a secret of a newer CSI.
  copy->DiscardUnknownFields();
  Redact(*copy);
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.SetTruncateStringFieldLongerThan(256);
  std::string text;
  printer.PrintToString(*copy, &text);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  if (text.size() > limit) text = text.substr(0, limit) + "...";
  return text;
}

}  // namespace holdfast
