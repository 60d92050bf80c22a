import Foundation

/// What the one who adds a model knows of it beside its files.
package struct ModelOrigin: Hashable, Sendable {
  /// Where it is from; nil: the path's last part.
  package var source: String?
  /// The folder that its licence and card lie in; nil: the model's own folder, none for a single
  /// file, beside which anything may lie.
  package var noticeFolder: String?
  /// What its weights are licensed under; nil: what the files say.
  package var licence: String?
  /// A file with the licence's text; nil: the one among the files.
  package var licenceFile: String?
  /// A file with a chat template, as `tally render` takes it; nil: the model's own template.
  package var chatTemplateFile: String?

  package init(
    source: String? = nil, noticeFolder: String? = nil, licence: String? = nil,
    licenceFile: String? = nil, chatTemplateFile: String? = nil
  ) {
    self.source = source
    self.noticeFolder = noticeFolder
    self.licence = licence
    self.licenceFile = licenceFile
    self.chatTemplateFile = chatTemplateFile
  }

  func notices(_ path: String) -> URL? {
    noticeFolder.map { URL(fileURLWithPath: $0) } ?? ModelStatement.notices(of: path)
  }
}
