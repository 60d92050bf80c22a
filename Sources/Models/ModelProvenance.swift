import Foundation
import ModelFormats

/// Where a model's weights are from and what they may be used for, as its files say.
///
/// It is part of the manifest, so a result that names the manifest's digest names this too.
package struct ModelProvenance: Codable, Hashable, Sendable {
  /// A file that the model was made from.
  package struct File: Codable, Hashable, Sendable {
    /// In the folder, or the file's own name.
    package let name: String
    /// Length in bytes.
    package let bytes: Int
    /// Of the whole file, as 64 lower-case hexadecimal digits.
    package let sha256: String

    package init(name: String, bytes: Int, sha256: String) {
      (self.name, self.bytes, self.sha256) = (name, bytes, sha256)
    }
  }

  /// Lengths that a provenance from outside is held to.
  package enum Limit {
    /// Bytes of a licence's text; the longest of the well-known ones has 35,000.
    package static let licenceTextBytes = 256 << 10
    /// Bytes of a name, a source or a link.
    package static let nameBytes = 1024
    /// Models that a model is made from.
    package static let baseModels = 64
    /// Files of a model.
    package static let files = 4096
  }

  /// For people: a file's or folder's name, or `hf:OWNER/NAME@COMMIT`.
  package var source: String
  /// An SPDX identifier in lower case where there is one; nil when nobody states it.
  package var licence: String?
  /// The licence in full, where it lies among the files.
  package var licenceText: String?
  /// Where the files say that it can be read.
  package var licenceLink: String?
  /// The models that this one is derived from, as the files spell them.
  package var baseModels: [String]
  /// What weights in floats were rounded to as they were added, such as "q4_k".
  package var rounding: String?
  /// The text on which rounding was calibrated; nil where it was plain.
  package var calibration: File?
  /// Everything that was read, by name.
  package var files: [File]

  package init(
    source: String, licence: String? = nil, licenceText: String? = nil, licenceLink: String? = nil,
    baseModels: [String] = [], rounding: String? = nil, calibration: File? = nil, files: [File] = []
  ) {
    self.source = source
    self.licence = licence
    self.licenceText = licenceText
    self.licenceLink = licenceLink
    self.baseModels = baseModels
    self.rounding = rounding
    self.calibration = calibration
    self.files = files
  }

  private enum CodingKeys: String, CodingKey {
    case source, licence, rounding, calibration, files
    case licenceText = "licence_text"
    case licenceLink = "licence_link"
    case baseModels = "base_models"
  }

  /// Holds texts and lists to their limits.
  ///
  /// - Throws: `FormatError`.
  func validate(file: String) throws {
    let names =
      [source, licence ?? "", licenceLink ?? "", rounding ?? ""] + baseModels + files.map(\.name)
      + [calibration?.name ?? ""]
    guard names.allSatisfy({ $0.utf8.count <= Limit.nameBytes }),
      (licenceText ?? "").utf8.count <= Limit.licenceTextBytes,
      baseModels.count <= Limit.baseModels, files.count <= Limit.files
    else {
      throw FormatError(.limitExceeded, file: file, reason: "its provenance is too long")
    }
    for entry in files + (calibration.map { [$0] } ?? [])
    where entry.bytes < 0 || !isSHA256(entry.sha256) {
      throw FormatError(
        .malformed, file: file,
        reason: "its provenance has \(entry.bytes) bytes and the digest \(quoted(entry.sha256)) "
          + "of \(quoted(entry.name))")
    }
  }
}
