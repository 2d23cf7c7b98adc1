// Hands the C table of benchmarks to Google Benchmark and prints medians, section by section, with
// what the ratios say. The only C++ of the benchmarks.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "bench/bench.h"

namespace
{

struct Times {
    std::vector<double> samples; // nanoseconds
    double percentile(size_t percent) const
    {
        std::vector<double> sorted = samples;
        std::sort(sorted.begin(), sorted.end());
        return sorted.empty() ? 0 : sorted[sorted.size() * percent / 100];
    }
    double median() const
    {
        return percentile(50);
    }
};

struct Section {
    std::vector<std::string> columns; // in order of the table
    std::map<std::string, std::map<std::string, Times>> rows;

    Times &at(const std::string &row, const std::string &column)
    {
        if (std::find(columns.begin(), columns.end(), column) == columns.end())
            columns.push_back(column);
        return rows[row][column];
    }
};

// Collects every repetition; the console shows nothing until the end.
class Collector : public benchmark::BenchmarkReporter
{
  public:
    bool ReportContext(const Context &) override
    {
        return true;
    }
    void ReportRuns(const std::vector<Run> &runs) override
    {
        for (const Run &run : runs) {
            if (run.run_type != Run::RT_Iteration || run.error_occurred)
                continue;
            const std::string &name = run.run_name.function_name;
            const size_t first = name.find('/'), second = name.find('/', first + 1);
            const auto items = run.counters.find("items");
            const double per = items == run.counters.end() ? 1 : items->second.value;
            sections[name.substr(0, first)]
                .at(name.substr(second + 1), name.substr(first + 1, second - first - 1))
                .samples.push_back(run.real_accumulated_time / static_cast<double>(run.iterations) /
                                   per * 1e9);
            if (progress)
                std::fprintf(stderr, "\r%-72s\r", name.c_str());
        }
    }
    std::map<std::string, Section> sections;
    const bool progress = isatty(STDERR_FILENO) != 0;
};

void print_time(double ns)
{
    if (ns < 1e3)
        std::printf("%15.1f ns", ns);
    else if (ns < 1e6)
        std::printf("%15.2f us", ns / 1e3);
    else
        std::printf("%15.2f ms", ns / 1e6);
}

void print_header(const char *title, const std::vector<std::string> &columns)
{
    std::printf("\n%-38s", title);
    for (const std::string &column : columns)
        std::printf(" %17s", column.c_str());
    std::printf("\n");
}

// Each row's medians, and those of the other columns over the native one.
void print_ratios(const char *title, const Section &section)
{
    struct Sum {
        double logs = 0, worst = 0;
    };
    std::map<std::string, Sum> sums;
    std::vector<std::string> header = section.columns;
    for (const std::string &column : section.columns)
        if (column != "native")
            header.push_back(column + " ratio");
    print_header(title, header);
    for (const auto &row : section.rows) {
        const double native = row.second.at("native").median();
        std::printf("%-38s", row.first.c_str());
        for (const std::string &column : section.columns)
            print_time(row.second.at(column).median());
        for (const std::string &column : section.columns) {
            if (column == "native")
                continue;
            const double ratio = row.second.at(column).median() / native;
            std::printf(" %17.2f", ratio);
            sums[column].logs += std::log(ratio);
            sums[column].worst = std::max(sums[column].worst, ratio);
        }
        std::printf("\n");
    }
    for (const auto &sum : sums)
        std::printf("%s: geometric mean %.2f, worst %.2f times native\n", sum.first.c_str(),
                    std::exp(sum.second.logs / static_cast<double>(section.rows.size())),
                    sum.second.worst);
}

void print_programs(const Section &section)
{
    print_ratios("programs", section);
}

// Also PVM over PVM2, on each engine.
void print_sets(const Section &section)
{
    print_ratios("instruction sets", section);
    for (const char *engine : {" interp.", " recomp."}) {
        double logs = 0;
        std::printf("PVM over PVM2,%s:", engine);
        for (const auto &row : section.rows) {
            const double ratio = row.second.at(std::string("PVM") + engine).median() /
                                 row.second.at(std::string("PVM2") + engine).median();
            std::printf(" %s %.2f", row.first.c_str(), ratio);
            logs += std::log(ratio);
        }
        std::printf("; geometric mean %.2f\n",
                    std::exp(logs / static_cast<double>(section.rows.size())));
    }
}

// Fresh invocations come in pairs of rows.
void print_fresh(const Section &section)
{
    const std::string whole = ", all in", alone = ", execution alone";
    print_header("fresh invocations", section.columns);
    for (const auto &row : section.rows) {
        std::printf("%-38s", row.first.c_str());
        for (const std::string &column : section.columns)
            print_time(row.second.at(column).median());
        std::printf("\n");
        const size_t at = row.first.rfind(alone);
        const auto pair =
            section.rows.find(row.first.substr(0, std::min(at, row.first.size())) + whole);
        if (at == std::string::npos || pair == section.rows.end())
            continue;
        std::printf("%-38s", "  all in above execution");
        for (const std::string &column : section.columns)
            print_time(pair->second.at(column).median() - row.second.at(column).median());
        std::printf("\n");
    }
}

void print_cold(const Section &section)
{
    print_header("first invocation of an image",
                 {"median", "90th percentile", "second worker", "when ready", "above ready"});
    for (const auto &row : section.rows)
        for (const char *engine : {"interpreter", "recompiler"}) {
            const std::string name = engine;
            const Times &cold = row.second.at(name);
            const double ready = row.second.at(name + ", ready").median();
            std::printf("%-38s", (row.first + ", " + name).c_str());
            print_time(cold.median());
            print_time(cold.percentile(90));
            print_time(row.second.at(name + ", other").median());
            print_time(ready);
            print_time(cold.median() - ready);
            std::printf("\n");
        }
}

void print_compile(const Section &section)
{
    print_header("all code made ready, MB/s of it", section.columns);
    for (const auto &row : section.rows) {
        std::printf("%-38s", row.first.c_str());
        for (const std::string &column : section.columns)
            std::printf(" %17.1f", 1e3 / row.second.at(column).median());
        std::printf("\n");
    }
}

void print_times(const char *title, const Section &section)
{
    print_header(title, section.columns);
    for (const auto &row : section.rows) {
        std::printf("%-38s", row.first.c_str());
        for (const std::string &column : section.columns)
            print_time(row.second.at(column).median());
        std::printf("\n");
    }
}

void print_scheduler(const Section &section)
{
    print_times("scheduler", section);
}

void print_kernel(const Section &section)
{
    print_times("kernel operations, warm", section);
}

void print_modules(const Section &section)
{
    print_times("PVM modules, warm", section);
}

void print_executor(const Section &section)
{
    print_times("executor, all in but the invocation", section);
}

void run_one(benchmark::State &state, const struct bench *bench)
{
    for (auto _ : state)
        bench->run(bench->context);
    if (bench->items != 0)
        state.counters["items"] = bench->items;
}

const struct {
    const char *name;
    void (*print)(const Section &section);
} SECTIONS[] = {
    {"programs", print_programs}, {"sets", print_sets},       {"fresh", print_fresh},
    {"cold", print_cold},         {"compile", print_compile}, {"scheduler", print_scheduler},
    {"kernel", print_kernel},     {"modules", print_modules}, {"executor", print_executor}};

int usage()
{
    std::fprintf(stderr, "usage: javm-bench [--benchmark_...] IMAGES [SECTION...]\n"
                         "       javm-bench IMAGES loop GUEST COUNT A0 A1 A2 A3\n"
                         "sections:");
    for (const auto &section : SECTIONS)
        std::fprintf(stderr, " %s", section.name);
    std::fprintf(stderr, "\nloop: seconds that so many calls of the native twin take\n");
    return 2;
}

} // namespace

int main(int argc, char **argv)
{
    // Short interleaved repetitions: a slow phase of the machine hits all groups alike.
    std::vector<char *> args(argv, argv + argc);
    std::string interleave = "--benchmark_enable_random_interleaving=true";
    std::string repetitions = "--benchmark_repetitions=7", time = "--benchmark_min_time=0.05";
    args.insert(args.begin() + 1, {interleave.data(), repetitions.data(), time.data()});
    int count = static_cast<int>(args.size());
    benchmark::Initialize(&count, args.data());
    if (count < 2)
        return usage();
    if (count == 9 && std::strcmp(args[2], "loop") == 0) {
        uint64_t numbers[5];
        for (int i = 0; i < 5; i++)
            numbers[i] = std::strtoull(args[static_cast<size_t>(i) + 4], nullptr, 0);
        std::printf("%.6f\n", bench_native_loop(args[3], numbers[0], numbers + 1));
        return 0;
    }
    const std::vector<std::string> wanted(args.begin() + 2, args.begin() + count);
    for (const std::string &name : wanted)
        if (std::none_of(std::begin(SECTIONS), std::end(SECTIONS),
                         [&](const auto &section) { return name == section.name; }))
            return usage();
    const auto is_wanted = [&](const std::string &section) {
        return wanted.empty() || std::find(wanted.begin(), wanted.end(), section) != wanted.end();
    };

    Collector collector;
    size_t rows = 0;
    const struct bench *table = bench_table(args[1], &rows);
    for (size_t i = 0; i < rows; i++) {
        const std::string section = table[i].section;
        const std::string name = section + "/" + table[i].column + "/" + table[i].name;
        if (!is_wanted(section))
            continue;
        collector.sections[section].at(table[i].name, table[i].column); // the table's order
        benchmark::RegisterBenchmark(name.c_str(), run_one, &table[i])->UseRealTime();
    }
    if (!collector.sections.empty())
        benchmark::RunSpecifiedBenchmarks(&collector);
    size_t series_count = 0;
    const struct bench_series *series =
        is_wanted("cold") ? bench_cold(args[1], &series_count) : nullptr;
    for (size_t i = 0; i < series_count; i++)
        collector.sections[series[i].section]
            .at(series[i].name, series[i].column)
            .samples.assign(series[i].ns, series[i].ns + series[i].count);
    for (const auto &section : SECTIONS) {
        const auto found = collector.sections.find(section.name);
        if (found != collector.sections.end())
            section.print(found->second);
    }
    return 0;
}
