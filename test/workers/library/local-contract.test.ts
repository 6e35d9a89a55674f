import { describeLocalAdapters } from "../../contract/local.ts";

describeLocalAdapters();
