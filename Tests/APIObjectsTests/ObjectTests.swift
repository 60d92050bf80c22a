import APIObjects
import Foundation
import ModelFormats
import Testing
import Tokenizers

@Suite("Objects of the API")
struct ObjectTests {
  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try ExactJSON.encode(value), as: UTF8.self)
  }

  private func read<Value: Decodable>(_ type: Value.Type, _ json: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(json.utf8))
  }

  static let batch = BatchObject(
    id: "batch_1", endpoint: "/v1/completions", model: nil,
    errors: .init(data: [.init(code: "bad", line: 3, message: "no", param: nil)]),
    inputFileID: "file-1", completionWindow: "24h", status: "failed", outputFileID: nil,
    errorFileID: nil, createdAt: 1, inProgressAt: nil, expiresAt: 86401, finalizingAt: nil,
    completedAt: nil, failedAt: 2, expiredAt: nil, cancellingAt: nil, cancelledAt: nil,
    requestCounts: .init(total: 3, completed: 0, failed: 3),
    usage: .init(inputTokens: 5, outputTokens: 7, totalTokens: 12),
    metadata: ["note": "a"])

  @Test("a batch has every documented field, null where it has no value")
  func batchIsWhole() throws {
    let text =
      #"{"cancelled_at":null,"cancelling_at":null,"completed_at":null,"completion_window":"24h","#
      + #""created_at":1,"endpoint":"/v1/completions","error_file_id":null,"errors":{"data":["#
      + #"{"code":"bad","line":3,"message":"no","param":null}],"object":"list"},"#
      + #""expired_at":null,"expires_at":86401,"failed_at":2,"finalizing_at":null,"id":"batch_1","#
      + #""in_progress_at":null,"input_file_id":"file-1","metadata":{"note":"a"},"model":null,"#
      + #""object":"batch","output_file_id":null,"request_counts":{"completed":0,"failed":3,"#
      + #""total":3},"status":"failed","usage":{"input_tokens":5,"input_tokens_details":"#
      + #"{"cached_tokens":0},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"#
      + #""total_tokens":12}}"#
    #expect(try json(Self.batch) == text)
    #expect(try read(BatchObject.self, text) == Self.batch)
  }

  @Test("a page of a list is read as it is written")
  func pages() throws {
    let file = FileObject(
      id: "file-1", bytes: 9, createdAt: 1, expiresAt: nil, filename: "a.jsonl", purpose: "batch",
      statusDetails: nil)
    let text = try json(ListObject([file], hasMore: true, id: \.id))
    #expect(
      text
        == #"{"data":[{"bytes":9,"created_at":1,"expires_at":null,"filename":"a.jsonl","#
        + #""id":"file-1","object":"file","purpose":"batch","status":"processed","#
        + #""status_details":null}],"first_id":"file-1","has_more":true,"last_id":"file-1","#
        + #""object":"list"}"#)
    let page = try read(ListObject<FileObject>.self, text)
    #expect(page.data == [file])
    #expect(page.hasMore)
    #expect(page.lastID == "file-1")
  }

  @Test("hyperparameters are numbers, or auto before the coordinator has chosen")
  func choices() throws {
    typealias Parameters = FineTuningObject.Hyperparameters
    let parameters = Parameters(
      nEpochs: .auto, batchSize: .integer(4), learningRateMultiplier: .number(0.5))
    let text = #"{"batch_size":4,"learning_rate_multiplier":0.5,"n_epochs":"auto"}"#
    #expect(try json(parameters) == text)
    #expect(try read(Parameters.self, text) == parameters)
    #expect(throws: DecodingError.self) {
      try read(Parameters.self, text.replacing("auto", with: "many"))
    }
  }

  @Test("an untuned model names no adapter; absent fields and nulls are the same to a reader")
  func absentFields() throws {
    let model = ModelObject(
      id: "m", created: 1, ownedBy: "us",
      tally: .init(manifest: "0a", source: "hf:a/b", licence: nil, baseModels: []))
    let text =
      #"{"created":1,"id":"m","object":"model","owned_by":"us","tally":{"base_models":[],"#
      + #""licence":null,"manifest":"0a","source":"hf:a/b"}}"#
    #expect(try json(model) == text)
    #expect(try read(ModelObject.self, text) == model)
    #expect(try read(ModelObject.self, text.replacing(#""licence":null,"#, with: "")) == model)
  }

  @Test("energy that a coordinator does not tell is none")
  func energy() throws {
    let text =
      #"{"days":[{"accepted":1,"credit":2.5,"day":"2026-11-24","rejected":0,"tokens":8}],"#
      + #""object":"tally.history"}"#
    let day = try #require(try read(HistoryObject.self, text).days.first)
    #expect(day.credit == 2.5)
    #expect(day.energyJoules == nil)
  }
}
