import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import Models

extension ModelCommand {
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show where a coordinator's model is from, and what it may be used for.",
      discussion: """
        What the model's manifest says: source, licence, the models it is derived from, and the \
        SHA-256 of every file it was made from. Every answer names the manifest, and clients read \
        the same at GET /tally/v1/manifests/DIGEST.

        EXAMPLES:
          tally model show smollm2-135m-instruct
          tally model show smollm2-135m-instruct --licence
        """)

    @Argument(help: "What batches call it.")
    var name: String

    @Flag(help: "Print the licence's text alone.")
    var licence = false

    @Flag(help: "Print JSON, with the licence's text.")
    var json = false

    @OptionGroup var data: DataOptions

    func run() async throws {
      let folder = try data.open()
      guard let record = try await folder.store.model(name) else {
        throw CommandError("there is no model \(name); `tally model list` lists what there is")
      }
      let known = try await folder.store.manifest(record.manifest) ?? ManifestRecord()
      let object = try ProvenanceObject(record.manifest, known)
      if json { return try printJSON(object) }
      guard let provenance = object.provenance else {
        throw CommandError("\(name) was added without its provenance; add it again to have it kept")
      }
      if licence {
        guard let text = provenance.licenceText else {
          throw CommandError(
            "the files of \(name) hold no licence text"
              + (provenance.licenceLink.map { "; they name \($0)" } ?? "")
              + " (`tally model add --licence-text FILE` adds one)")
        }
        return Terminal.output.line(text)
      }
      show(provenance, of: record)
    }

    private func show(_ provenance: ModelProvenance, of record: ModelRecord) {
      let output = Terminal.output
      output.line("model       \(record.id)")
      output.line("manifest    \(record.manifest.hex)")
      output.line("source      \(provenance.source)")
      output.line("licence     \(provenance.licence ?? "unknown")")
      if let link = provenance.licenceLink { output.line("            \(link)") }
      if let text = provenance.licenceText {
        output.line("            \(Spelled.bytes(text.utf8.count)) of text (--licence)")
      }
      for base in provenance.baseModels { output.line("based on    \(base)") }
      if let rounding = provenance.rounding {
        let text = provenance.calibration.map { ", calibrated on \($0.name) (\($0.sha256))" }
        output.line("rounded to  \(rounding)\(text ?? "")")
      }
      output.line("")
      var table = TextTable(.text("FILE"), .number("SIZE"), .text("SHA-256"))
      for file in provenance.files { table.add(file.name, Spelled.bytes(file.bytes), file.sha256) }
      output.line(table.rendered())
    }
  }
}
