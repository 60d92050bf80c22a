import ModelFormats
import WireProtocol

extension ExactDictionary<String> {
  /// An object of texts as canonical JSON, no two of whose keys become one.
  package var canonicalText: String {
    get throws {
      let members = try map { "\(try Fleet.json($0.key)):\(try Fleet.json($0.value))" }
      return "{" + members.joined(separator: ",") + "}"
    }
  }
}
